"""A customer's traffic crosses the planes that the flows name, by the hosts' counters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytestmark = pytest.mark.lab
On = Callable[..., str]
MEBI = 2**20


class Planes:
    """Bytes that hosts of the lab receive and send on their planes, by the kernel's counters."""

    def __init__(self, on: On, site: dict[str, Any]) -> None:
        self.on, self.site = on, site

    def read(self, host: str) -> dict[str, int]:
        """Both directions of each plane's device."""
        rows = (line.partition(":") for line in self.on(host, "cat /proc/net/dev").splitlines())
        counts = {
            name.strip(): [int(n) for n in rest.split()] for name, colon, rest in rows if colon
        }
        devices = self.site["hosts"][host]["devices"]
        return {plane: counts[name][0] + counts[name][8] for plane, name in devices.items()}

    @contextmanager
    def all_on(self, plane: str, least: int, *hosts: str) -> Iterator[None]:
        """Meanwhile at least that many bytes cross this plane of the hosts, and few the others."""
        before = {host: self.read(host) for host in hosts}
        yield
        for host in hosts:
            after = self.read(host)
            crossed = {name: after[name] - count for name, count in before[host].items()}
            assert crossed.pop(plane) >= least, (host, plane, crossed)
            assert max(crossed.values()) < least / 4, (host, plane, crossed)


@pytest.fixture
def planes(on: On, lab_site: dict[str, Any]) -> Planes:
    """The planes of the lab's hosts."""
    return Planes(on, lab_site)


@pytest.fixture
def host(admin: Any, instance: Any) -> str:
    """Where the customer's instance runs."""
    return str(admin.compute.get_server(instance.server.id).compute_host)


def test_requests_between_hosts_cross_the_management_plane(
    planes: Planes, on: On, lab_site: dict[str, Any]
) -> None:
    compute = lab_site["groups"]["compute"][0]
    url = f"https://{lab_site['names']['internal']}:5000/v3?[1-500]"
    with planes.all_on("management", 500 * 400, compute):
        on(compute, f"curl --silent --fail --output /dev/null '{url}'")


def test_instances_talk_over_the_service_plane(planes: Planes, instance: Any, host: str) -> None:
    instance.get("cgi-bin/status", lambda answer: answer.ok)
    count, size = 300, 1300
    ping = ["ping", "-q", "-i", "0.03", "-c", str(count), "-s", str(size), instance.address]
    # There and back, minus what a busy guest loses.
    with planes.all_on("service", int(1.5 * count * size), host):
        subprocess.run(ping, capture_output=True, check=True)


def test_volumes_cross_the_storage_plane(
    planes: Planes, on: On, host: str, attached: Any, lab_site: dict[str, Any]
) -> None:
    listing = "ls /dev/disk/by-path/ | grep -E '^ip-.*-iscsi-.*-lun-[0-9]+$'"
    portals = {
        disk: disk.removeprefix("ip-").partition(":")[0] for disk in on(host, listing).split()
    }
    storage = {
        lab_site["hosts"][name]["addresses"]["storage"]: name
        for name in lab_site["groups"]["storage"]
    }
    assert portals and set(portals.values()) <= set(storage)
    disk, portal = next(iter(portals.items()))
    with planes.all_on("storage", 16 * MEBI, host, storage[portal]):
        on(host, f"dd if=/dev/disk/by-path/{disk} of=/dev/null bs=1M count=16 iflag=direct")


def test_objects_cross_the_storage_plane(
    planes: Planes, cloud: Any, container: Any, lab_site: dict[str, Any]
) -> None:
    data = os.urandom(8 * MEBI)
    # Each of so few hosts has a copy.
    with planes.all_on("storage", 8 * MEBI, *lab_site["groups"]["storage"]):
        cloud.object_store.upload_object(container.name, "large", data=data)
    cloud.object_store.delete_object("large", container=container.name, ignore_missing=False)
