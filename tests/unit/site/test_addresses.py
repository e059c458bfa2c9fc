"""Addresses are counted by host number, and are right whatever the site looks like."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.site.planes import read_site


def test_addresses_are_counted_from_the_ranges_first(inventory: Any) -> None:
    assert inventory.site().hosts["compute1"].addresses == {
        "management": "10.0.0.13",
        "storage": "10.0.20.13",
        "service": "10.0.30.13",
    }


def test_a_host_may_have_an_address_of_its_own(inventory: Any) -> None:
    inventory.hosts["compute1"]["cairn_host_planes"]["storage"]["address"] = "10.0.20.200"
    assert inventory.site().hosts["compute1"].addresses["storage"] == "10.0.20.200"


def test_the_first_host_number_can_be_changed(inventory: Any) -> None:
    inventory.everywhere("cairn_first_host_number", 1)
    assert inventory.site().hosts["compute1"].addresses["storage"] == "10.0.20.23"


def test_without_a_range_number_11_ends_in_11(inventory: Any) -> None:
    inventory.plane("storage", range=None)
    assert inventory.site().hosts["controller1"].addresses["storage"] == "10.0.20.11"


@pytest.mark.parametrize(("vlan", "device"), [(20, "stor0.20"), (None, "stor0"), (0, "stor0")])
def test_a_host_overrides_the_vlan(inventory: Any, vlan: int | None, device: str) -> None:
    inventory.hosts["compute1"]["cairn_host_planes"]["storage"]["vlan"] = vlan
    attachments = {a.plane.name: a for a in inventory.site().hosts["compute1"].attachments}
    assert attachments["storage"].device == device


@given(
    prefix=st.integers(16, 27),
    numbers=st.lists(st.integers(11, 30), min_size=1, max_size=12, unique=True),
    with_range=st.booleans(),
)
def test_addresses_are_unique_usable_and_no_vip(
    prefix: int, numbers: list[int], with_range: bool
) -> None:
    planes: dict[str, Any] = {}
    for index, name in enumerate(("management", "storage", "service")):
        network = ipaddress.ip_network(f"10.{index}.0.0/{prefix}")
        planes[name] = {
            "cidr": str(network),
            "gateway": str(network.network_address + 1),
            "vip": str(network.network_address + 2),
        }
        if with_range:
            first, last = network.network_address + 3, network.broadcast_address - 1
            planes[name]["range"] = f"{first}-{last}"
    variables = {
        f"host{n}": {
            "cairn_planes": planes,
            "cairn_host_number": n,
            "cairn_nics": {f"nic{i}": {"mac": f"52:54:00:00:{i:02x}:{n:02x}"} for i in range(3)},
            "cairn_host_planes": {p: {"interface": f"nic{i}"} for i, p in enumerate(planes)},
        }
        for n in numbers
    }
    site, problems = read_site(variables, {"storage": list(variables)})
    assert problems == []
    addresses = [a for h in site.hosts.values() for a in h.attachments]
    assert len({a.address for a in addresses}) == 3 * len(numbers)
    for attachment in addresses:
        plane = attachment.plane
        assert plane.range is not None and attachment.address in plane.range
        ends = (plane.network.network, plane.network.broadcast)
        assert attachment.address not in ends
        assert attachment.address not in (plane.vip, plane.gateway)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    variable=st.sampled_from(
        [
            "cairn_planes",
            "cairn_public_plane",
            "cairn_nics",
            "cairn_bonds",
            "cairn_host_planes",
            "cairn_host_number",
            "cairn_provider_networks",
        ]
    ),
    junk=JUNK,
)
def test_junk_is_a_problem_and_never_a_crash(variable: str, junk: Any) -> None:
    variables = {
        "host1": {
            "cairn_planes": {"management": {"cidr": "10.0.0.0/24"}},
            "cairn_host_number": 11,
            "cairn_nics": {"mgmt0": {"mac": "52:54:00:00:00:11"}},
            "cairn_host_planes": {"management": {"interface": "mgmt0"}},
            variable: junk,
        }
    }
    _, problems = read_site(variables, {"compute": ["host1"]})
    assert problems


@given(key=st.sampled_from(["cidr", "vlan", "mtu", "gateway", "range", "vip"]), junk=JUNK)
def test_junk_in_a_plane_never_crashes(key: str, junk: Any) -> None:
    variables = {"host1": {"cairn_planes": {"storage": {"cidr": "10.0.0.0/24", key: junk}}}}
    _, problems = read_site(variables, {"compute": ["host1"]})
    assert problems
