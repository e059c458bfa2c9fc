"""No secret is readable by others: on no host, and in nothing that a run leaves here."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.lab

PROGRAM = Path(__file__).with_name("search.py")
# Readable on every host: finding it shows that the search works.
CONTROL = "# Made by Cairn from the inventory; add lines with base_hosts."
CHAP = (
    "mariadb --batch --skip-column-names -e "
    "\"SELECT provider_auth FROM cinder.volumes WHERE provider_auth LIKE 'CHAP %'\" || true"
)
"""The passwords of all volumes that there are or ever were."""


@pytest.fixture(scope="module")
def values(
    root: Path, script: Callable[[str], ModuleType], on: Any, lab_site: dict[str, Any]
) -> dict[str, str]:
    """The lab's secrets, and those that cinder made for volumes."""
    known = script("tests/lab/cloud/traced.py").values(root)
    said = on(lab_site["groups"]["controller"][0], CHAP).splitlines()
    for number, line in enumerate(said):
        known[f"CHAP password {number}"] = line.split()[-1]
    return known  # type: ignore[no-any-return]


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


def test_nothing_that_runs_left_here_shows_a_secret(
    values: dict[str, str], root: Path, script: Callable[[str], ModuleType]
) -> None:
    folders = [root / ".cache/tests", root / ".cache/bench", *root.glob(".lab/*/consoles")]
    files = [*root.glob(".cache/*.json"), *root.glob(".lab/*/*.log")]
    assert files, "no run has left its figures"
    search = script("tests/lab/cloud/search.py").Search(values)
    assert search.files(map(str, (*folders, *files)), everybody=False) == set()
    # The operator's clouds.yaml has to hold a password, and to be the operator's alone.
    inventory = [str(root / "inventories")]
    assert search.files(inventory, everybody=True) == set()
    assert search.files(inventory, everybody=False)


def test_a_plan_in_every_detail_shows_no_secret(
    values: dict[str, str], root: Path, script: Callable[[str], ModuleType]
) -> None:
    # The same file has a database's URL and a service user's password.
    inventory = f"inventories/{script('tests/lab/cloud/traced.py').lab()}"
    changed = {"keystone_config": {"keystone.conf": {"database": {"max_pool_size": 6}}}}
    done = subprocess.run(
        [
            *(str(root / ".venv/bin/ansible-playbook"), "-i", inventory),
            *("playbooks/site.yml", "--check", "--diff", "-vvv", "-e", json.dumps(changed)),
        ],
        cwd=root,
        capture_output=True,
        check=True,
        timeout=600,
    )
    assert b"+max_pool_size = 6" in done.stdout
    search = script("tests/lab/cloud/search.py").Search(values)
    assert search.text("output", done.stdout + done.stderr) == set()


def test_a_failed_run_in_every_detail_shows_no_secret(
    values: dict[str, str], root: Path, script: Callable[[str], ModuleType]
) -> None:
    """keystone's own validator refuses the option; the same file has a database's URL."""
    wrong = {"keystone_config": {"keystone.conf": {"database": {"no_such_option": 1}}}}
    traced = script("tests/lab/cloud/traced.py")
    done = subprocess.run(
        [
            *(str(root / ".venv/bin/ansible-playbook"), "-i", f"inventories/{traced.lab()}"),
            *("playbooks/site.yml", "--diff", "-vvv", "-e", json.dumps(wrong)),
        ],
        cwd=root,
        capture_output=True,
        check=False,
        timeout=900,
    )
    assert done.returncode != 0 and b"no_such_option" in done.stdout
    search = script("tests/lab/cloud/search.py").Search(values)
    assert search.text("output", done.stdout + done.stderr) == set()
    kept = root / ".cache/last-run.json"
    assert "no_such_option" in kept.read_text()
    assert search.text("last-run.json", kept.read_bytes()) == set()
    assert kept.stat().st_mode & 0o777 == 0o600
