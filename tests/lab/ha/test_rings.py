"""Rings of a cloud in use: a disk is added, weighs more, is drained and taken out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from cairn.verify.run import wait
from tests.lab.deployed import Cloud

from .conftest import CONTROLLERS

pytestmark = pytest.mark.lab

HOST, CONTAINER = "worker1", "cairn-rings"
BUILDERS = "/var/lib/cairn/rings"
RINGS = "playbooks/swift-rings.yml"
SWIFT_PYTHON = "/var/lib/cairn/services/swift/current/venv/bin/python"
LEFT = "find /srv/node/d4 -name '*.data' -o -name '*.db'"
AGE = f"""
import glob
from swift.common.ring import RingBuilder
for path in glob.glob("{BUILDERS}/*.builder"):
    builder = RingBuilder.load(path)
    builder._last_part_moves_epoch -= 2 * 3600
    builder.save(path)
"""
PARTS = f"""
import json
from swift.common.ring import RingBuilder
builder = RingBuilder.load("{BUILDERS}/object.builder")
print(json.dumps({{disk["device"]: disk["parts"] for disk in builder.devs if disk}}))
"""


def disks(cloud: Cloud, **weights: int) -> list[str]:
    """Arguments that give the host's disks these weights, by name; d1 is the first of them."""
    kernel = cloud.on(HOST, "ls /dev/ubdb >/dev/null 2>&1 && echo ubd || echo vd")
    found = [
        {"name": name, "device": f"/dev/{kernel}{'abcde'[int(name[1:])]}", "weight": weight}
        for name, weight in weights.items()
    ]
    return ["-e", json.dumps({"swift_disks": found})]


def flat(text: str) -> str:
    """What a run printed, in one line."""
    return " ".join(text.split())


def parts(cloud: Cloud) -> dict[str, int]:
    """Partitions of the object ring on each disk, as the builder has them."""
    printed = cloud.on("controller1", f"{SWIFT_PYTHON} -c {shlex.quote(PARTS)}")
    found: dict[str, int] = json.loads(printed)
    return found


def two_hours_pass(cloud: Cloud) -> None:
    """Make the builders' last move look two hours older."""
    for name in CONTROLLERS:
        cloud.on(name, f"{SWIFT_PYTHON} -c {shlex.quote(AGE)}")


@pytest.fixture
def objects(cloud: Cloud, tmp_path: Any) -> Iterator[list[str]]:
    """Objects in the store; their content is their name."""
    names = [f"object{number}" for number in range(8)]
    assert cloud.openstack("container", "create", CONTAINER).returncode == 0
    for name in names:
        (tmp_path / name).write_text(name)
        made = cloud.openstack(
            "object", "create", CONTAINER, str(tmp_path / name), f"--name={name}"
        )
        assert made.returncode == 0, made.stderr
    yield names
    cloud.openstack("object", "delete", CONTAINER, *names)
    cloud.openstack("container", "delete", CONTAINER)


def stored(cloud: Cloud, names: list[str]) -> list[str]:
    """What the objects hold."""
    return [cloud.openstack("object", "save", "--file=-", CONTAINER, name).stdout for name in names]


def test_a_disk_comes_weighs_more_is_drained_and_goes(cloud: Cloud, objects: list[str]) -> None:
    before = parts(cloud)
    assert set(before) == {"d1", "d2", "d3"}
    four = disks(cloud, d1=100, d2=100, d3=100, d4=50)
    code, text = cloud.run(RINGS, *four, "--check")
    assert code == 0, text
    plan = re.search(r"object: (\d+) of (\d+) partition copies move", flat(text))
    assert plan, text
    assert parts(cloud) == before, "a plan has changed the rings"
    code, text = cloud.site(*four)
    assert code == 0, text
    added = parts(cloud)
    assert added["d4"] == int(plan[1])
    # What has just moved is left where it is until the time that copies need has passed.
    code, text = cloud.run(RINGS, *disks(cloud, d1=100, d2=100, d3=100, d4=100), "--check")
    assert code == 0, text
    assert "more partitions have to move, not before" in flat(text)
    assert stored(cloud, objects) == objects

    heavier = disks(cloud, d1=100, d2=100, d3=100, d4=100)
    two_hours_pass(cloud)
    code, text = cloud.run(RINGS, *heavier)
    assert code == 0, text
    assert parts(cloud)["d4"] > added["d4"]
    assert stored(cloud, objects) == objects

    # What still holds partitions is not let go, drained or not.
    three = disks(cloud, d1=100, d2=100, d3=100)
    code, text = cloud.run(RINGS, *three)
    assert code
    assert "d4 still has" in flat(text)

    drained = disks(cloud, d1=100, d2=100, d3=100, d4=0)
    for _ in range(4):
        two_hours_pass(cloud)
        code, text = cloud.run(RINGS, *drained)
        assert code == 0, text
        if not parts(cloud)["d4"]:
            break
    assert parts(cloud)["d4"] == 0
    # Its data has been handed on when the replicator leaves it empty.
    cloud.on(HOST, "systemctl restart 'swift-*-replicator.service'")
    wait("the drained disk to be empty", 900, lambda: not cloud.on(HOST, LEFT), interval=10)
    two_hours_pass(cloud)
    code, text = cloud.site(*three)
    assert code == 0, text
    assert parts(cloud) == before
    assert stored(cloud, objects) == objects
    assert cloud.on("controller1", f"ls {BUILDERS}/backups | wc -l") != "0"
