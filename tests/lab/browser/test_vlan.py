"""A network that the administrator puts on a provider's VLAN: what is in that VLAN reaches it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import inventory, network, vlan

from .conftest import INVENTORY

pytestmark = pytest.mark.lab

NAME = "cairn-vlan"
# Of the lab's VLANs 100 to 199; the lab itself has no other address in this network.
VLAN, OTHER = 142, 143
CIDR, OWN = "198.18.142.0/24", "198.18.142.1"
SECONDS = 60


def remove(admin: Any) -> None:
    """Remove what the test creates, including what a killed test has left."""
    for router in list(admin.network.routers(name=NAME)):
        admin.network.delete_router(router)
    for made in list(admin.network.networks(name=NAME)):
        admin.network.delete_network(made)


@pytest.fixture
def router(admin: Any) -> Iterator[str]:
    """The address of a router that has its gateway in the VLAN."""
    remove(admin)
    made = admin.network.create_network(
        name=NAME,
        is_router_external=True,
        provider_network_type="vlan",
        provider_physical_network="physnet1",
        provider_segmentation_id=VLAN,
    )
    try:
        admin.network.create_subnet(
            name=NAME,
            network_id=made.id,
            ip_version=4,
            cidr=CIDR,
            gateway_ip=OWN,
            enable_dhcp=False,
        )
        found = admin.network.create_router(
            name=NAME, external_gateway_info={"network_id": made.id}
        )
        (address,) = found.external_gateway_info["external_fixed_ips"]
        yield str(address["ip_address"])
    finally:
        remove(admin)


@contextmanager
def own_address(lab: str, site: dict[str, Any], number: int) -> Iterator[None]:
    """Add an address in a VLAN of the segment of the network hosts' provider bridge."""
    name = site["groups"]["network"][0]
    wires = inventory.read(INVENTORY)
    nics = {nic.name: nic for nic in wires.host(name).nics}
    nic = nics[site["hosts"][name]["provider_interface"]]
    device = f"{nic.segment}.{number}"
    made = network.tagged_device(
        nic.segment, number, 1500, wires.segments[nic.segment], native=vlan.native()
    )
    delete = ["ip", "link", "delete", device]
    subprocess.run(delete, capture_output=True, check=False)  # what a killed test has left
    network.make(lab, made)
    try:
        subprocess.run(["ip", "address", "add", f"{OWN}/24", "dev", device], check=True)
        yield
    finally:
        subprocess.run(delete, check=True)


def answers(address: str) -> bool:
    """Whether an address answers one ping."""
    command = ["ping", "-c", "1", "-W", "1", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_what_is_in_the_vlan_reaches_the_router(router: str, lab_site: dict[str, Any]) -> None:
    lab = os.environ.get("CAIRN_LAB", "lab")
    with own_address(lab, lab_site, VLAN):
        deadline = time.monotonic() + SECONDS
        while not answers(router):
            assert time.monotonic() < deadline, f"{router} does not answer in VLAN {VLAN}"
            time.sleep(1)
    # Only the tag can have brought the frames there.
    with own_address(lab, lab_site, OTHER):
        assert not any(answers(router) for _ in range(3))
