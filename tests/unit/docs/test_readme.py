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

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEADING = "## A physical site in ten lines"
EDITED = {
    # Hosts that are not there cannot be reached, and a test's machine is to keep no timer.
    "group_vars/all/site.yml": "ansible_connection: refusing\noperator_renewal: false\n",
}


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
    quoted = {name: text.replace("\n", "\\n") for name, text in EDITED.items()}
    cases = "".join(f"    */{name}) printf '{text}' >> $1 ;;\n" for name, text in quoted.items())
    editor.write_text(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do\n  [ -f $1 ] || exit 1\n  echo edited $1\n"
        f"  case $1 in\n{cases}  esac\n  shift\ndone\n"
    )
    editor.chmod(0o755)
    (checkout / "answers").mkdir()
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
    site = checkout / "inventories/site"
    for position, (kind, command) in enumerate(zip(kinds, commands, strict=True)):
        done = run(command, checkout, environment)
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
        elif kind == "site":
            assert (site / ".operator/clouds.yaml").exists(), said
            again = position == len(commands) - 1
            assert "unchanged (remote calls): compute1 (0)" in done.stdout, said
            assert ("localhost: 4 changes" in done.stdout) is not again, said


def test_an_inventory_elsewhere(
    checkout: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """By its absolute path, outside the checkout."""
    site = tmp_path / "elsewhere/site"
    shutil.copytree(ROOT / "inventories/example", site)
    with (site / "group_vars/all/site.yml").open("a") as file:
        file.write(EDITED["group_vars/all/site.yml"])
    done = run(f"make secrets INVENTORY={site}", checkout, environment)
    assert f"{site}/.vault-password: new vault password" in done.stdout, done.stderr
    done = run(f"make secrets INVENTORY={site}/", checkout, environment)
    assert "complete, nothing added" in done.stdout, done.stderr
    path = f"PATH={ROOT}/.venv/bin:$PATH"
    done = run(f"{path} ansible-playbook -i {site} playbooks/preflight.yml", checkout, environment)
    assert done.returncode == 0, done.stdout[-6000:]


def test_overrides_in_several_places_make_what_they_would_make_in_one(
    checkout: Path, environment: dict[str, str], tmp_path: Path
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
    path, generations = f"PATH={ROOT}/.venv/bin:$PATH", {}
    for place, files in places.items():
        site = tmp_path / place
        shutil.copytree(ROOT / "inventories/example", site)
        for name, text in {**EDITED, **files}.items():
            with (site / name).open("a") as file:
                file.write(text)
        assert run(f"make secrets INVENTORY={site}", checkout, environment).returncode == 0
        if place != "none":
            shutil.copy(tmp_path / "none/group_vars/all/secrets.yml", site / "group_vars/all")
            shutil.copy(tmp_path / "none/.vault-password", site)
        words = (
            f"{path} ansible-playbook -i {site} playbooks/preflight.yml --limit compute1,storage1"
        )
        done = run(words, checkout, environment)
        assert done.returncode == 0, done.stdout[-6000:]
        answers = (
            json.loads((checkout / f"answers/{h}.json").read_text())
            for h in ("compute1", "storage1")
        )
        compute, storage = (answer["services"] for answer in answers)
        generations[place] = compute["nova"]["current"]
        assert "nova" not in storage
    assert generations["split"] == generations["whole"] != generations["none"]
