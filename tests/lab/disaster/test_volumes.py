"""Storage hosts fail and come back, and disks with other data are refused."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cairn.verify.run import wait
from tests.lab.deployed import ROOT, Cloud

pytestmark = pytest.mark.lab

Guest = Callable[..., str]


@pytest.fixture(scope="module")
def guest(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """An instance on volumes; a function that writes to one of them, or reads it."""
    state = tmp_path_factory.mktemp("guest") / "run.json"

    def ask(*words: str) -> str:
        done = subprocess.run(
            [python, str(Path(__file__).with_name("guest.py")), str(state), *words],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0 or words[0] in ("write", "read"), done.stderr
        return done.stdout.strip()

    try:
        ask("start")
        yield ask
    finally:
        ask("stop")


def test_io_of_an_instance_waits_for_its_storage_host_and_nothing_is_lost(cloud, guest):
    assert guest("write", "before") == "before"
    cloud.lab("kill", "storage1")
    try:
        # The guest's write does not end, but it does not fail either.
        assert guest("write", "meanwhile") == ""
    finally:
        cloud.lab("start", "storage1")
    deadline = time.monotonic() + 300
    while (found := guest("read")) != "meanwhile":
        assert found in ("", "before"), found
        assert time.monotonic() < deadline, "the instance's I/O did not resume"
        time.sleep(3)
    assert guest("write", "after") == "after"
    assert cloud.on("storage1", "systemctl --failed --no-legend") == ""


def heartbeat(cloud: Cloud) -> str:
    """Time of cinder-backup's last heartbeat."""
    done = cloud.openstack("volume", "service", "list", "--service", "cinder-backup",
                           "-f", "value", "-c", "Updated At")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_volume_that_was_deleted_comes_back_from_its_backup(cloud, guest):
    if not cloud.on("storage1", "systemctl list-unit-files --no-legend 'cinder-backup*'"):
        pytest.skip("the site has no swift to keep backups in")
    assert guest("write", "kept") == "kept"
    # After its host lost power, cinder calls the service up for a while, and what is asked of it
    # before it has started ends in error.
    before = heartbeat(cloud)
    wait("a heartbeat of cinder-backup", 180, lambda: heartbeat(cloud) != before, 3)
    guest("rescue")
    assert guest("read") == "kept"


@pytest.mark.parametrize(
    ("disk", "text"),
    [
        ("/dev/nosuch", "has no disk /dev/nosuch; it has "),
        ("/dev/disk/by-label/cairn-root", "is in use: mounted on /"),
    ],
)
def test_a_disk_that_is_not_meant_is_refused(disk, text, cloud):
    before = cloud.generations("storage1")
    code, said = cloud.site("-e", json.dumps({"cinder_volume_disks": [disk]}))
    assert code
    assert text in " ".join(said.split())
    assert cloud.generations("storage1") == before


def test_a_missing_volume_group_is_not_created_again(cloud):
    before = cloud.generations("storage1")
    cloud.on("storage1", "vgrename cinder-volumes aside")
    try:
        code, said = cloud.site()
    finally:
        cloud.on("storage1", "vgrename aside cinder-volumes")
    assert code
    assert "volume group cinder-volumes has disappeared" in " ".join(said.split())
    assert cloud.generations("storage1") == before
