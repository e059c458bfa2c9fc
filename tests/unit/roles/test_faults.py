"""Faults of the release that Cairn mends, or knows as harmless, are still in its code.

A test that fails here says that the release has mended it: what Cairn does about it can go.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FAULTS = {
    # lock: (what is tried, what comes of it, where Cairn deals with it, the words there)
    "neutron": (
        "from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import commands\n"
        "print(commands._tag_column_to_tag_request({'tag_request': None}))",
        "{'tag_request': None}",
        "tests/lab/journals/known.yml",
        "tag_request",
    ),
    "horizon": (
        "from openstack_dashboard.utils import futurist_utils\n"
        "try:\n    print(futurist_utils.call_functions_parallel())\n"
        "except ValueError as error:\n    print(error)",
        "max_workers must be greater than zero",
        "roles/horizon/files/repairs.py",
        "call_functions_parallel",
    ),
}


@pytest.mark.parametrize("lock", sorted(FAULTS))
def test_the_fault_is_there(lock: str, venv_of: Callable[[str], Path], root: Path) -> None:
    code, fault, where, words = FAULTS[lock]
    assert words in (root / where).read_text()
    done = subprocess.run(
        [str(venv_of(lock) / "bin/python"), "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == fault, f"mended by the release: see {where}"
