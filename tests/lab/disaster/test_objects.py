"""Disks of the object store fail or are misnamed; a ring change would delete the last copies."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from cairn.verify.run import wait
from cairn_host.probe.block_devices import END_BYTES
from tests.lab.deployed import Cloud

from .conftest import INVENTORY

pytestmark = pytest.mark.lab

HOST, CONTAINER = "storage1", "cairn-badday"
SECONDS = 240


def openstack(*words: str, check: bool = True) -> str:
    """What the openstack command prints, as administrator."""
    command = [str(INVENTORY / ".operator" / "openstack"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=300).stdout


def stored(name: str) -> str:
    """What an object of the test holds."""
    return openstack("object", "save", "--file=-", CONTAINER, name)


def disks(cloud: Cloud) -> list[dict[str, str]]:
    """The storage host's disks, as the inventory names them for this lab."""
    printed = cloud.on(HOST, "findmnt --types xfs --noheadings --output TARGET,SOURCE")
    found = re.findall(r"/srv/node/(\w+)\s+(\S+)", printed)
    return [{"name": name, "device": device} for name, device in sorted(found)]


def variables(**values: Any) -> list[str]:
    """Arguments that set variables on top of the inventory's."""
    return ["-e", json.dumps(values)]


def builders(cloud: Cloud) -> str:
    """What the builder files hold, as one hash."""
    return cloud.on("controller1", "cat /var/lib/cairn/rings/*.builder | sha256sum")


@pytest.fixture
def content(tmp_path: Any) -> Iterator[str]:
    """An object of the administrator's; its content is its name."""
    path = tmp_path / "before"
    path.write_text("before")
    openstack("container", "create", CONTAINER)
    openstack("object", "create", CONTAINER, str(path), "--name=before")
    yield "before"
    for name in ("before", "during"):
        openstack("object", "delete", CONTAINER, name, check=False)
    openstack("container", "delete", CONTAINER, check=False)


def copies(cloud: Cloud, disk: str) -> int:
    """How many objects there are on a disk."""
    found = cloud.on(HOST, f"find /srv/node/{disk}/objects -name '*.data' 2>/dev/null | wc -l")
    return int(found)


def test_a_failed_disk_is_replaced(cloud: Cloud, content: str, tmp_path: Any) -> None:
    *others, failed = disks(cloud)
    before = copies(cloud, failed["name"])
    kept = cloud.on(HOST, f"blkid -s UUID -o value {others[0]['device']}")
    # The disk is gone, as far as swift can see.
    cloud.on(HOST, f"systemctl stop srv-node-{failed['name']}.mount")
    during = tmp_path / "during"
    during.write_text("during")
    openstack("object", "create", CONTAINER, str(during), "--name=during")
    for name in (content, "during"):
        assert stored(name) == name
    assert copies(cloud, failed["name"]) == 0
    # Another disk, blank, in its place: nobody has files of that open.
    cloud.on(HOST, "systemctl try-restart 'swift-*.service'")
    end = f"$(($(blockdev --getsize64 {failed['device']}) - {END_BYTES}))"
    for place in ("0", end):
        zero = f"dd if=/dev/zero of={failed['device']} bs={END_BYTES} count=1 conv=fsync"
        cloud.on(HOST, f"{zero} oflag=seek_bytes seek={place} status=none")
    cloud.on(HOST, f"wipefs --all --quiet {failed['device']}; udevadm settle")
    code, text = cloud.site()
    assert not code, text
    assert cloud.on(HOST, f"findmnt --noheadings --output LABEL /srv/node/{failed['name']}") == (
        f"swift-{failed['name']}"
    )
    assert cloud.on(HOST, f"blkid -s UUID -o value {others[0]['device']}") == kept
    cloud.on(HOST, "systemctl restart swift-object-replicator")
    wait("all copies back", SECONDS, lambda: copies(cloud, failed["name"]) > before, interval=5)
    for name in (content, "during"):
        assert stored(name) == name


@pytest.mark.parametrize(
    ("device", "printed"),
    [("/dev/nosuch", "has no disk /dev/nosuch (d9)"), ("root", "is in use: mounted on /")],
)
def test_a_wrong_disk_is_refused(cloud: Cloud, device: str, printed: str) -> None:
    if device == "root":
        number = cloud.on(HOST, "stat --format %Hd:%Ld /")
        device = cloud.on(HOST, f"realpath /dev/block/{number}")
    before = cloud.generations(HOST)
    wrong = [*disks(cloud), {"name": "d9", "device": device}]
    code, text = cloud.site(*variables(swift_disks=wrong))
    assert code
    assert printed in " ".join(text.split())
    assert "nothing was touched" in text
    assert cloud.generations(HOST) == before


def test_a_ring_change_that_would_cost_the_last_copies_is_refused(cloud: Cloud) -> None:
    before = builders(cloud), cloud.generations(HOST)
    fewer = disks(cloud)[:-1]
    code, text = cloud.site(*variables(swift_disks=fewer))
    assert code
    printed = " ".join(text.split())
    assert "the rings are refused, nothing was changed" in printed
    assert "3 copies need 3 disks of weight above 0, and there would be 2" in printed
    assert re.search(r"ring object: storage1/d3 still has \d+ partitions", printed)
    assert (builders(cloud), cloud.generations(HOST)) == before


def test_disks_that_have_all_copies_cannot_be_given_up_for_lost(cloud: Cloud) -> None:
    before = builders(cloud)
    lost = [f"{HOST}/{disk['name']}" for disk in disks(cloud)]
    code, text = cloud.run("playbooks/swift-rings.yml", *variables(swift_disks=[], swift_lost=lost))
    assert code
    assert "would lose their last reliable copy with storage1/d1, storage1/d2, storage1/d3" in (
        " ".join(text.split())
    )
    assert builders(cloud) == before


def test_the_inventory_of_the_lab_names_its_disks_so(cloud: Cloud) -> None:
    text = (INVENTORY / "group_vars/storage/lab.yml").read_text()
    assert [disk["name"] for disk in disks(cloud)] == re.findall(r"\{name: (\w+),", text)
