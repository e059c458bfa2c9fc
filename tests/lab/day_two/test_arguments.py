"""No command of the runs of a year, however short-lived, has a secret among its arguments."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def traced(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tests/lab/cloud/traced.py")


@pytest.mark.lab
def test_no_command_of_a_run_has_a_secret_among_its_arguments(
    root: Path, lab_hosts: list[str], traced: ModuleType
) -> None:
    """One option of every kind of service, keystone's keys, and back: each starts all it can."""
    changed = {
        f"{role}_config": {f"{role}.conf": {"database": {"max_pool_size": 6}}}
        for role in ("keystone", "nova", "neutron", "cinder")
    }
    inventory = ["-i", f"inventories/{traced.lab()}"]
    tool = [str(root / ".venv/bin/ansible-playbook"), *inventory]
    traced.start(lab_hosts, traced.values(root))
    try:
        for playbook in (
            ["playbooks/site.yml", "-e", json.dumps(changed)],
            ["playbooks/site.yml"],
            ["playbooks/rotate-keys.yml"],
        ):
            done = subprocess.run(
                [*tool, *playbook],
                cwd=root,
                env={**os.environ},
                capture_output=True,
                text=True,
                check=False,
                timeout=1800,
            )
            assert done.returncode == 0, done.stdout[-3000:]
    finally:
        seen = traced.stop(lab_hosts)
    assert traced.problems(seen) == []
