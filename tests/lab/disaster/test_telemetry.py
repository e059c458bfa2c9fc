"""Gnocchi is down: nothing else fails, and ceilometer resumes by itself when it is back.

Gnocchi's storage changes: measures continue in the new one, and back again.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.verify.run import wait
from tests.lab.deployed import Cloud

from .conftest import INVENTORY

pytestmark = pytest.mark.lab

GNOCCHI = "gnocchi-api.service gnocchi-metricd.service"
CEILOMETER = ("ceilometer-notification.service", "ceilometer-central.service")
SETTINGS = yaml.safe_load((INVENTORY / "group_vars/all/telemetry.yml").read_text())
TWO_INTERVALS = 2 * SETTINGS["ceilometer_interval"] + SETTINGS["gnocchi_processing_delay"] + 30
ASK = """
import sys
from pathlib import Path
from cairn.verify import meters, run
inventory, image = sys.argv[1:]
admin = run.admin_cloud(Path(inventory, ".operator", "clouds.yaml"), "cairn")
print(len(meters.measures(admin, "image", image, "image.size")))
"""
LISTEN = (
    "runuser --user=ceilometer -- /var/lib/cairn/services/ceilometer/current/venv/bin/python "
    "/etc/ceilometer/listen.py --count=1 --seconds={seconds} --resource={resource}"
)


def openstack(*words: str) -> Any:
    """What the openstack command answers, as data."""
    done = subprocess.run(
        [str(INVENTORY / ".operator" / "openstack"), *words, "--format=json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout)


@pytest.fixture
def without_gnocchi(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with gnocchi stopped; it is started again in the end."""
    cloud.on("controller1", f"systemctl stop {GNOCCHI}")
    yield cloud
    cloud.on("controller1", f"systemctl start {GNOCCHI}")


@contextlib.contextmanager
def new_image(folder: Path) -> Iterator[str]:
    """An image for the time of a test; its identifier."""
    disk = folder / "disk"
    disk.write_bytes(bytes(4096))
    made = openstack("image", "create", f"--file={disk}", "cairn-badday")
    yield made["id"]
    subprocess.run(
        [str(INVENTORY / ".operator" / "openstack"), "image", "delete", made["id"]], check=True
    )


@pytest.fixture
def image(without_gnocchi: Cloud, tmp_path: Path) -> Iterator[str]:
    """An image made while gnocchi is down."""
    with new_image(tmp_path) as made:
        yield made


def measured(python: str, image: str) -> int:
    """How many measures of the image's size gnocchi has; asked inside the lab's network."""
    asked = subprocess.run(
        [python, "-c", ASK, str(INVENTORY), image],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(asked.stdout)


def test_without_gnocchi_all_else_works_and_ceilometer_resumes(without_gnocchi, image, python):
    cloud = without_gnocchi
    before = cloud.processes("controller1", *CEILOMETER)
    assert cloud.problems("metric") == []
    # Other consumers of the message queue still get the meters.
    command = LISTEN.format(seconds=TWO_INTERVALS, resource=image)
    heard = json.loads(cloud.on("controller1", command, timeout=TWO_INTERVALS + 60))
    assert heard["counter_name"].startswith("image.")
    cloud.on("controller1", f"systemctl start {GNOCCHI}")
    arrived = partial(measured, python, image)
    wait("measures of the image in gnocchi", TWO_INTERVALS, arrived, interval=5)
    assert cloud.processes("controller1", *CEILOMETER) == before


@pytest.fixture
def in_swift(cloud: Cloud) -> Iterator[Cloud]:
    """The cloud with gnocchi's measures in swift; they are in files again in the end."""
    code, text = cloud.site("-e", "gnocchi_storage=swift")
    assert code == 0, text[-3000:]
    yield cloud
    code, text = cloud.site()
    assert code == 0, text[-3000:]


def test_measures_are_kept_in_swift_where_the_inventory_says_so(in_swift, python, tmp_path):
    in_swift.on("controller1", "touch /run/cairn-before")
    with new_image(tmp_path) as image:
        arrived = partial(measured, python, image)
        wait("measures of the image in gnocchi", TWO_INTERVALS, arrived, interval=5)
    written = "find /var/lib/gnocchi/storage -type f -newer /run/cairn-before | wc -l"
    assert in_swift.on("controller1", written) == "0"
