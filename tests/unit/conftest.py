"""What unit tests share: runs of ansible-playbook, and plays whose work only fails or does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.warm_ansible import ROOT, Ran, Servers

SIMULATED = ROOT / "bench/simulated"
# The example with one host of each group, for runs of a few seconds.
SMALL = """
all:
  children:
    controller: {hosts: {controller1: }}
    network: {hosts: {network1: }}
    compute: {hosts: {compute1: }}
    storage: {hosts: {storage1: }}
    operator: {hosts: {localhost: }}
"""
# Hosts that are not there cannot be reached, and a test's machine is to keep no timer.
SIMULATION = "ansible_connection: refusing\noperator_renewal: false\n"
Plays = Callable[..., tuple[str, list["Turn"]]]


@pytest.fixture(scope="session")
def ansible_playbook() -> Iterator[Callable[..., Ran]]:
    """Run ansible-playbook with words, in `cwd` and with settings of `environ`."""
    servers = Servers()
    yield servers.play
    servers.stop()


@pytest.fixture(scope="session")
def simulated(ansible_playbook: Callable[..., Ran]) -> Callable[..., Ran]:
    """Run a playbook over a site whose hosts have what it says; they are simulated as in bench.

    What they answered lies in the folder `answers` beside the site.
    """

    def run(site: Path, playbook: str = "preflight.yml", *words: str) -> Ran:
        answers = site.parent / "answers"
        answers.mkdir(exist_ok=True)
        environ = {
            "ANSIBLE_ACTION_PLUGINS": f"{SIMULATED}/action:{ROOT}/plugins/action",
            "ANSIBLE_CONNECTION_PLUGINS": f"{SIMULATED}/connection",
            "CAIRN_SIMULATED": str(answers),
            "CAIRN_SIMULATED_RECORD": "1",
        }
        password = ("--vault-password-file", site / ".vault-password")
        given = ("-i", site, *password, f"playbooks/{playbook}", *words)
        return ansible_playbook(*given, environ=environ)

    return run


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that copies a small site with its secrets to a place."""
    made = tmp_path_factory.mktemp("small") / "site"
    shutil.copytree(ROOT / "inventories/example", made)
    (made / "hosts.yml").write_text(SMALL)
    with (made / "group_vars/all/site.yml").open("a") as file:
        file.write(SIMULATION)
    for path in (made / "host_vars").iterdir():
        if path.stem not in SMALL:
            path.unlink()
    make = [sys.executable, ROOT / "tools/site_secrets.py", made]
    subprocess.run(make, check=True, capture_output=True, cwd=ROOT)
    return lambda place: Path(shutil.copytree(made, place))


class Turn(NamedTuple):
    """A play, or one batch of it: the hosts that took part, and those that came through."""

    play: str
    hosts: list[str]
    through: list[str]


def stand_in(play: Mapping[str, Any], broken: Sequence[str]) -> dict[str, Any]:
    """A play that meets the same hosts in the same way; its work fails on those that are broken."""
    work: dict[str, Any] = {"name": "Work"}
    if broken:
        work["ansible.builtin.assert"] = {"that": f"inventory_hostname not in {list(broken)}"}
    else:
        # A task costs a process for each host: where none fails, one speaks for all.
        work["ansible.builtin.debug"] = {"msg": "through: {{ ansible_play_batch | join(' ') }};"}
        work["run_once"] = True
    return {**{k: v for k, v in play.items() if k not in ("roles", "tasks")}, "tasks": [work]}


def turns(text: str) -> list[Turn]:
    """The turns of a run, by what Ansible printed."""
    parts = re.split(r"(?m)^PLAY (?:\[(.*)\]|RECAP) \**$", text)[1:]
    found = []
    for name, of_play in zip(parts[::2], parts[1::2], strict=True):
        through = set(re.findall(r"(?m)^ok: \[(.*?)\]", of_play))
        through |= set(" ".join(re.findall(r"through: (.*?);", of_play)).split())
        failed = set(re.findall(r"(?m)^fatal: \[(.*?)\]", of_play))
        if name:
            found.append(Turn(name, sorted(through | failed), sorted(through)))
    return found


@pytest.fixture(scope="session")
def stand_ins(
    ansible_playbook: Callable[..., Ran], tmp_path_factory: pytest.TempPathFactory
) -> Plays:
    """Run plays whose work only fails or does not; what was printed, and turn by turn.

    `plays` without hosts of their own import playbooks of Cairn's; `broken`: by play, the hosts on
    which its work fails; more keywords are variables.
    """

    def run(
        plays: Sequence[Mapping[str, Any]],
        groups: Mapping[str, Sequence[str]],
        broken: Mapping[str, Sequence[str]],
        **variables: Any,
    ) -> tuple[str, list[Turn]]:
        assert set(broken) <= {play["name"] for play in plays}
        folder = tmp_path_factory.mktemp("plays")
        kept = []
        for play in plays:
            if "hosts" in play:
                kept.append(stand_in(play, broken.get(play["name"], ())))
            else:
                imported = play["ansible.builtin.import_playbook"]
                (folder / imported).parent.mkdir(exist_ok=True)
                shutil.copy(ROOT / "playbooks" / imported, folder / imported)
                kept.append(dict(play))
        (folder / "plays.yml").write_text(yaml.safe_dump(kept, sort_keys=False))
        inventory = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in groups.items()}
        (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
        words = ("-i", "hosts.yml", "plays.yml", "-e", json.dumps(variables))
        done = ansible_playbook(*words, cwd=folder)
        assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
        return done.stdout, turns(done.stdout)

    return run
