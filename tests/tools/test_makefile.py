"""The targets for a site run its playbooks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def make(root: Path) -> Make:
    """Ask what a target would run."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--dry-run", "INVENTORY=inventories/site", *words]
        # Not as a part of the make that may run the tests.
        own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(
            command, cwd=root, env=own, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("site", "playbooks/site.yml"),
        ("verify", "playbooks/verify.yml"),
        ("rollback", "playbooks/rollback.yml -e service=nova"),
        ("rotate-keys", "playbooks/rotate-keys.yml"),
    ],
)
def test_a_playbook_is_run_for_the_inventory(make: Make, target: str, command: str) -> None:
    told = make(target, "SERVICE=nova", "ARGS=--check").stdout
    assert f"ansible-playbook -i inventories/site {command} --check\n" in told


def test_which_service_goes_back_has_to_be_told(make: Make) -> None:
    asked = make("rollback")
    assert asked.returncode
    assert "SERVICE=… is missing" in asked.stderr


def test_without_an_operator_the_command_is_explained(root: Path, tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    asked = subprocess.run(
        ["make", "--assume-old=setup", "openstack", f"INVENTORY={tmp_path}", "ARGS=token issue"],
        cwd=root, env=own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode
    assert f"{tmp_path}/.operator/openstack is missing: make site" in asked.stderr
    assert "group operator" in asked.stderr
