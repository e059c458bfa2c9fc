"""README's physical site in ten lines, run word by word on a copy of the checkout.

Hosts are simulated as in bench: they answer as if a run had just brought them everything, and
refuse any connection. So `plan` and `site` run whole, and `verify` and `openstack` go as far as the
cloud's public address, where nobody answers here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import SIMULATION, SMALL

ROOT = Path(__file__).resolve().parents[3]
HEADING = "## A physical site in ten lines"
# The site has one host of each group; what the example says of the others goes.
EDITOR = """#!/bin/sh
while [ $# -gt 0 ]; do
    [ -f $1 ] || exit 1
    echo edited $1
    case $1 in
        */hosts.yml) cat edited/hosts.yml > $1 ;;
        */group_vars/all/site.yml) cat edited/site.yml >> $1 ;;
        */host_vars/*[!1].yml) rm $1 ;;
    esac
    shift
done
"""


def lines() -> list[str]:
    """The commands of README's block, without their comments."""
    text = (ROOT / "README.md").read_text().partition(HEADING)[2]
    block = re.search(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert block, f"README has no commands below {HEADING!r}"
    return [re.sub(r"\s+# .*", "", line).strip() for line in block[1].splitlines()]


@pytest.fixture(scope="module")
def checkout(
    copy_project: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of what git has, set up already; this machine's tools stay as they are."""
    copy = tmp_path_factory.mktemp("checkout")
    copy_project(copy)
    (copy / "tools/setup").write_text("#!/bin/sh\n")
    # Making the test guest needs Debian's mirrors.
    (copy / "guest/__main__.py").write_text('print("/nowhere/guest.img")\n')
    return copy


@pytest.fixture(scope="module")
def environment(checkout: Path) -> dict[str, str]:
    """An operator's, in which hosts are simulated and $EDITOR writes what is to be edited."""
    editor = checkout / "edit"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    (checkout / "answers").mkdir()
    (checkout / "edited").mkdir()
    (checkout / "edited/hosts.yml").write_text(SMALL)
    (checkout / "edited/site.yml").write_text(SIMULATION)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "ANSIBLE_", "CAIRN_"))}
    return kept | {
        "EDITOR": str(editor),
        "ANSIBLE_ACTION_PLUGINS": f"{checkout}/bench/simulated/action:{checkout}/plugins/action",
        "ANSIBLE_CONNECTION_PLUGINS": f"{checkout}/bench/simulated/connection",
        "ANSIBLE_NOCOLOR": "1",
        "CAIRN_SIMULATED": str(checkout / "answers"),
        "CAIRN_SIMULATED_RECORD": "1",
    }


def run(command: str, checkout: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], cwd=checkout, env=environ,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_ten_lines(checkout: Path, environment: dict[str, str]) -> None:
    commands = lines()
    assert len(commands) == 10
    kinds = [command.split()[1 if command.startswith("make") else 0] for command in commands]
    steps = ["secrets", "plan", "site", "verify", "openstack", "site"]
    assert kinds == ["cp", "$EDITOR", "$EDITOR", "$EDITOR", *steps]
    site, environ = checkout / "inventories/site", dict(environment)
    # The last is the seventh again: tests/lab/cloud/test_second_run.py holds what comes of it.
    assert commands[-1].split() == commands[6].split()
    for kind, command in zip(kinds[:-1], commands[:-1], strict=True):
        done = run(command, checkout, environ)
        said = f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        if kind in ("verify", "openstack"):
            assert done.returncode, said
            text = done.stdout + done.stderr
            assert "https://cloud.example.org:5000/v3/auth/tokens" in text, said
            continue
        assert done.returncode == 0, said
        assert not re.search(r"^(WARNING|ERROR) ", done.stdout, re.M), said
        if kind == "secrets":
            assert (site / "group_vars/all/secrets.yml").read_bytes().startswith(b"$ANSIBLE_VAULT")
        elif kind == "plan":
            assert not (site / ".operator").exists()
            assert "would change: operator : Write clouds.yaml" in done.stdout, said
            # From here on hosts answer what they did for the plan.
            del environ["CAIRN_SIMULATED_RECORD"]
        elif kind == "site":
            assert (site / ".operator/clouds.yaml").exists(), said
            assert "unchanged (remote calls): compute1 (0)" in done.stdout, said
            assert "localhost: 4 changes" in done.stdout, said


def test_an_inventory_elsewhere(
    checkout: Path, environment: dict[str, str], simulated: Callable[..., Any], tmp_path: Path
) -> None:
    """By its absolute path, outside the checkout; the example with all its hosts."""
    site = tmp_path / "elsewhere/site"
    shutil.copytree(ROOT / "inventories/example", site)
    with (site / "group_vars/all/site.yml").open("a") as file:
        file.write(SIMULATION)
    done = run(f"make secrets INVENTORY={site}", checkout, environment)
    assert f"{site}/.vault-password: new vault password" in done.stdout, done.stderr
    done = run(f"make secrets INVENTORY={site}/", checkout, environment)
    assert "complete, nothing added" in done.stdout, done.stderr
    # Every host's variables are judged; one host of each other group stands for all in what is
    # asked of hosts.
    asked = "controller,network1,compute1,storage1"
    done = simulated(site, "preflight.yml", "--limit", asked)
    assert done.returncode == 0, done.stdout[-6000:]
    assert not re.search(r"^(WARNING|ERROR) ", done.stdout, re.M), done.stdout[-6000:]


def test_overrides_in_several_places_make_what_they_would_make_in_one(
    small_site: Callable[[Path], Path], simulated: Callable[..., Any], tmp_path: Path
) -> None:
    """In a real run, by the generation of nova that a compute host should have."""
    vnc, pinned = "vnc: {enabled: false}", "compute: {cpu_dedicated_set: 4-15}"
    places = {
        "none": {},
        "split": {
            "group_vars/all/nova.yml": f"nova_config: {{nova.conf: {{{vnc}}}}}\n",
            "group_vars/compute.yml": f"nova_config: {{nova.conf: {{{pinned}}}}}\n",
        },
        "whole": {"host_vars/compute1.yml": f"nova_config: {{nova.conf: {{{vnc}, {pinned}}}}}\n"},
    }
    generations = {}
    for place, files in places.items():
        site = small_site(tmp_path / place / "site")
        for name, text in files.items():
            with (site / name).open("a") as file:
                file.write(text)
        done = simulated(site, "preflight.yml", "--limit", "compute1,storage1")
        assert done.returncode == 0, done.stdout[-6000:]
        answers = (
            json.loads((site.parent / f"answers/{host}.json").read_text())
            for host in ("compute1", "storage1")
        )
        compute, storage = (answer["services"] for answer in answers)
        generations[place] = compute["nova"]["current"]
        assert "nova" not in storage
    assert generations["split"] == generations["whole"] != generations["none"]
