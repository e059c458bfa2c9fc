"""No secret stands where others can read it: on no host, and in nothing that a run leaves here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

SECRET = "Zr9xQ2mB7vLk4pTn"
PROGRAM = Path(__file__).with_name("search.py")
PUBLIC = {"ca_certificate"}
# Stands open on every host: that it is found shows that the search looks.
CONTROL = "# Made by Cairn from the inventory; add lines by base_hosts."


class Values(dict[str, str]):
    """Secrets by name, which pytest shows to nobody when a test fails."""

    def __repr__(self) -> str:
        """Names only."""
        return f"<secrets {', '.join(self)}>"


@pytest.fixture
def search(script: Callable[[str], ModuleType]) -> Any:
    module = script("tests/secrets/search.py")
    return module.Search({"queue_nova": SECRET, "ca_key": "-----BEGIN\n" + "ab1/" * 16 + "\n"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as open as those of a host; pytest closes its own."""
    place = tmp_path / "open"
    place.mkdir(mode=0o755)
    return place


def put(folder: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_open_files_are_searched_and_values_never_told(search: Any, folder: Path) -> None:
    put(folder, "a.conf", f"url = rabbit://nova:{SECRET}@192.0.2.1\n")
    put(folder, "b/key.pem", "x\n" + "ab1/" * 16 + "\n")
    put(folder, "closed.conf", SECRET, 0o640)
    put(folder, "clean.conf", "nothing")
    found = search.files([str(folder)], everybody=True)
    assert found == {f"queue_nova: {folder}/a.conf", f"ca_key: {folder}/b/key.pem"}
    assert search.files([str(folder)], everybody=False) == found | {
        f"queue_nova: {folder}/closed.conf"
    }


def test_what_lies_in_a_closed_folder_is_out_of_reach(search: Any, folder: Path) -> None:
    put(folder, "closed/a.conf", SECRET)
    (folder / "closed").chmod(0o750)
    assert search.files([str(folder)], everybody=True) == set()
    # Whoever knows a name needs no listing.
    (folder / "closed").chmod(0o711)
    assert search.files([str(folder)], everybody=True) == {f"queue_nova: {folder}/closed/a.conf"}


def test_of_a_virtualenv_only_what_changed_since_its_hashes_were_checked_is_searched(
    search: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[type(search).__module__], "VENVS", folder / "venvs")
    for name in ("old.py", ".cairn-complete", "new.py"):
        put(folder, f"venvs/nova-1/{name}", SECRET)
        os.utime(folder / "venvs/nova-1" / name, ns=(0, {"old.py": 1, "new.py": 3}.get(name, 2)))
    found = search.files([str(folder)], everybody=True)
    assert found == {f"queue_nova: {folder}/venvs/nova-1/new.py"}


def test_arguments_of_processes_are_searched(search: Any) -> None:
    command = [sys.executable, "-c", "input(1)", SECRET]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # a process has its arguments a moment after it was started
        found = search.processes()
        process.communicate(b"\n")
    assert f"queue_nova: arguments of {process.pid}" in found


def test_what_commands_print_is_searched(search: Any) -> None:
    assert search.command("journal", ["printf", f"a\\0b {SECRET}\\n"]) == {"queue_nova: journal"}
    assert search.command("journal", ["printf", "a"]) == set()
    with pytest.raises(RuntimeError, match="false failed"):
        search.command("journal", ["false"])


# --- in the lab


@pytest.fixture(scope="module")
def values(root: Path) -> dict[str, str]:
    """The lab's secrets."""
    inventory = root / "inventories/lab"
    tool = [str(root / "tools/vault-password"), "-i", str(inventory)]
    password = subprocess.run(tool, capture_output=True, check=True).stdout.strip()
    vault = VaultLib([("default", VaultSecret(password))])
    text = vault.decrypt((inventory / "group_vars/all/secrets.yml").read_bytes())
    found = yaml.safe_load(text)["cairn_secrets"]
    return Values({name: value for name, value in found.items() if name not in PUBLIC})


@pytest.mark.lab
def test_no_host_shows_a_secret(values: dict[str, str], lab_hosts: list[str], on: Any) -> None:
    command = f"/usr/bin/python3 -c {shlex.quote(PROGRAM.read_text())}"

    def search(host: str) -> str:
        with tempfile.TemporaryFile("w+") as asked:
            json.dump({"secrets": {**values, "control": CONTROL}}, asked)
            asked.seek(0)
            return str(on(host, command, stdin=asked))

    with ThreadPoolExecutor() as pool:
        said = list(pool.map(search, lab_hosts))
    places = {host: text.splitlines() for host, text in zip(lab_hosts, said, strict=True)}
    assert [host for host in lab_hosts if "control: /etc/hosts" not in places[host]] == []
    open_to_all = {h: [p for p in places[h] if not p.startswith("control: ")] for h in lab_hosts}
    assert {host: found for host, found in open_to_all.items() if found} == {}


@pytest.mark.lab
def test_nothing_that_runs_left_here_shows_a_secret(
    values: dict[str, str], root: Path, script: Callable[[str], ModuleType]
) -> None:
    folders = [root / ".cache/tests", root / ".cache/bench", *root.glob(".lab/*/consoles")]
    files = [*root.glob(".cache/*.json"), *root.glob(".lab/*/*.log")]
    assert files, "no run has left its figures"
    search = script("tests/secrets/search.py").Search(values)
    assert search.files(map(str, (*folders, *files)), everybody=False) == set()
    # The operator's clouds.yaml has to hold a password, and to be the operator's alone.
    inventory = [str(root / "inventories")]
    assert search.files(inventory, everybody=True) == set()
    assert search.files(inventory, everybody=False)


@pytest.mark.lab
def test_a_plan_in_every_detail_shows_no_secret(
    values: dict[str, str], root: Path, script: Callable[[str], ModuleType]
) -> None:
    # Beside this option stand a database's URL and a service user's password.
    changed = {"keystone_config": {"keystone.conf": {"database": {"max_pool_size": 6}}}}
    done = subprocess.run(
        [
            *(str(root / ".venv/bin/ansible-playbook"), "-i", "inventories/lab"),
            *("playbooks/site.yml", "--check", "--diff", "-vvv", "-e", json.dumps(changed)),
        ],
        cwd=root,
        capture_output=True,
        check=True,
        timeout=600,
    )
    assert b"+max_pool_size = 6" in done.stdout
    search = script("tests/secrets/search.py").Search(values)
    assert search.text("output", done.stdout + done.stderr) == set()
