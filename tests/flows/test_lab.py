"""The flows against reality: what listens in the lab, and which plane traffic crosses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from cairn import flows

pytestmark = pytest.mark.lab
On = Callable[..., str]
ROOT = Path(__file__).resolve().parents[2]
MEBI = 2**20


def test_every_socket_is_on_the_plane_of_its_flow(
    on: On, lab_site: dict[str, Any], lab_hosts: list[str]
) -> None:
    command = "ss --no-header --listening --numeric --tcp --udp --processes"
    with ThreadPoolExecutor() as pool:
        texts = list(pool.map(lambda host: on(host, command), lab_hosts))
    found = {host: flows.listeners(text) for host, text in zip(lab_hosts, texts, strict=True)}
    # Every host lets its operator in: the list is no empty one.
    assert all(any(listener.port == 22 for listener in told) for told in found.values())
    listed = flows.read()
    assert [
        s for host in lab_hosts for s in flows.strays(found[host], listed, lab_site, host)
    ] == []


def test_instances_talk_over_the_service_plane(planes: Any, instance: Any) -> None:
    count, size = 300, 1300
    ping = ["ping", "-q", "-i", "0.03", "-c", str(count), "-s", str(size), instance.floating_ip]
    with planes.during(instance.host):
        subprocess.run(ping, capture_output=True, check=True)
    # There and back, but for what a busy guest loses.
    planes.assert_all_on("service", int(1.5 * count * size))


def test_requests_between_hosts_cross_the_management_plane(
    planes: Any, on: On, lab_site: dict[str, Any]
) -> None:
    host = lab_site["groups"]["compute"][0]
    url = f"https://{lab_site['names']['internal']}:5000/v3?[1-500]"
    with planes.during(host):
        on(host, f"curl --silent --fail --output /dev/null '{url}'")
    planes.assert_all_on("management", 500 * 400)


def needs(service: str) -> Any:
    """Leave out what a lab without the service cannot have."""
    chosen = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/lab.yml").read_text())
    there = service in chosen.get("cairn_services", [service])
    return pytest.mark.skipif(not there, reason=f"the lab has no {service}")


@needs("cinder")
def test_volumes_cross_the_storage_plane(
    planes: Any, on: On, instance: Any, lab_site: dict[str, Any]
) -> None:
    listing = "ls /dev/disk/by-path/ | grep -E '^ip-.*-iscsi-.*-lun-[0-9]+$'"
    disk = on(instance.host, listing).split()[0]
    portal = disk.removeprefix("ip-").partition(":")[0]
    storage = {
        name: lab_site["hosts"][name]["addresses"]["storage"]
        for name in lab_site["groups"]["storage"]
    }
    assert portal in storage.values()
    (keeper,) = [name for name, address in storage.items() if address == portal]
    with planes.during(instance.host, keeper):
        on(
            instance.host,
            f"dd if=/dev/disk/by-path/{disk} of=/dev/null bs=1M count=16 iflag=direct",
        )
    planes.assert_all_on("storage", 16 * MEBI)


@needs("swift")
def test_objects_cross_the_storage_plane(planes: Any, admin: Any, lab_site: dict[str, Any]) -> None:
    container, data = "cairn-verify-flows", os.urandom(8 * MEBI)
    admin.object_store.create_container(container)
    try:
        with planes.during(*lab_site["groups"]["storage"]):
            admin.object_store.upload_object(container, "object", data=data)
        # Each of so few hosts has a copy.
        planes.assert_all_on("storage", 8 * MEBI)
    finally:
        admin.object_store.delete_object("object", container=container, ignore_missing=True)
        admin.object_store.delete_container(container)
