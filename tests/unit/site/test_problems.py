"""Every wrong input is named, with host, plane and value, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Sentences = Callable[[], list[str]]


def test_the_labs_word_in_a_nic_is_no_mistake(inventory: Any, sentences: Sentences) -> None:
    inventory.hosts["compute1"]["cairn_nics"]["stor0"]["lab_segment"] = "trunk"
    assert sentences() == []


def test_a_right_inventory_has_no_problem(sentences: Sentences) -> None:
    assert sentences() == []


@pytest.mark.parametrize(
    ("plane", "changes", "expected"),
    [
        ("storage", {"vlan": 4097}, "plane storage has VLAN 4097; a VLAN id is 1 to 4094"),
        ("storage", {"vlan": -1}, "plane storage has VLAN -1; a VLAN id is 1 to 4094"),
        ("storage", {"vlan": "twenty"}, "plane storage has VLAN twenty; a VLAN id is 1 to 4094"),
        ("storage", {"vlan": True}, "plane storage has VLAN True; a VLAN id is 1 to 4094"),
        ("storage", {"mtu": 70000}, "plane storage has MTU 70000; an MTU here is 1280 to 9216"),
        ("storage", {"mtu": 576}, "plane storage has MTU 576; an MTU here is 1280 to 9216"),
        (
            "storage",
            {"cidr": "10.0.20.0/33"},
            "plane storage has CIDR 10.0.20.0/33; it must be an IPv4 network such as 10.0.0.0/24",
        ),
        (
            "storage",
            {"cidr": "10.0.20.5/24"},
            "plane storage has CIDR 10.0.20.5/24, a host's address; the network is 10.0.20.0/24",
        ),
        (
            "storage",
            {"cidr": "10.0.30.128/25", "range": None},
            "plane service has CIDR 10.0.30.0/24, which overlaps 10.0.30.128/25 of plane storage",
        ),
        (
            "management",
            {"gateway": "10.0.1.1"},
            "plane management has gateway 10.0.1.1 outside its CIDR 10.0.0.0/24",
        ),
        (
            "management",
            {"gateway": "10.0.0.255"},
            "plane management has gateway 10.0.0.255, the network or broadcast address of "
            "10.0.0.0/24",
        ),
        (
            "management",
            {"gateway": "10.0.0.50"},
            "plane management has gateway 10.0.0.50 inside its range 10.0.0.11-10.0.0.99; "
            "a host could get the same address",
        ),
        (
            "service",
            {"vip": "10.0.31.10"},
            "plane service has VIP 10.0.31.10 outside its CIDR 10.0.30.0/24",
        ),
        (
            "service",
            {"vip": "10.0.30.12"},
            "plane service has VIP 10.0.30.12 inside its range 10.0.30.11-10.0.30.99; "
            "a host could get the same address",
        ),
        (
            "management",
            {"vip": "10.0.0.1"},
            "plane management has VIP 10.0.0.1, which is its gateway",
        ),
        ("management", {"vip": "ten"}, "plane management has VIP ten, which is no IPv4 address"),
        (
            "management",
            {"vip": None},
            "plane management has no vip; the APIs are reached at its address",
        ),
        (
            "storage",
            {"range": "10.0.20.11-10.0.21.99"},
            "plane storage has range ending at 10.0.21.99 outside its CIDR 10.0.20.0/24",
        ),
        (
            "storage",
            {"range": "10.0.20.99-10.0.20.11"},
            "plane storage has range 10.0.20.99-10.0.20.11, which ends before it starts",
        ),
        (
            "storage",
            {"range": "10.0.20.11"},
            "plane storage has range 10.0.20.11; write it as first-last, "
            "such as 10.0.0.11-10.0.0.99",
        ),
        ("storage", {"vlna": 20}, "plane storage has an unknown key vlna; did you mean vlan?"),
    ],
)
def test_a_wrong_plane(
    inventory: Any, sentences: Sentences, plane: str, changes: dict[str, Any], expected: str
) -> None:
    inventory.plane(plane, **changes)
    assert f"site: {expected}" in sentences()


def test_a_plane_without_cidr(inventory: Any, sentences: Sentences) -> None:
    for variables in inventory.hosts.values():
        del variables["cairn_planes"]["storage"]["cidr"]
    assert "site: plane storage has no cidr" in sentences()


def test_a_plane_that_is_no_mapping(inventory: Any, sentences: Sentences) -> None:
    for variables in inventory.hosts.values():
        variables["cairn_planes"]["storage"] = "10.0.20.0/24"
    assert "site: plane storage is '10.0.20.0/24'; it must be a mapping" in sentences()


@pytest.mark.parametrize("name", ["my net", "", "-a", "größe", "a{b"])
def test_a_plane_with_a_name_that_keepalived_would_misread(
    inventory: Any, sentences: Sentences, name: str
) -> None:
    for variables in inventory.hosts.values():
        variables["cairn_planes"][name] = {"cidr": "10.9.0.0/24", "vip": "10.9.0.2"}
    assert (
        f"site: plane {name} cannot have this name; it consists of letters, digits, dots, _ and -, "
        "beginning with a letter or digit"
    ) in sentences()


def test_a_missing_plane(inventory: Any, sentences: Sentences) -> None:
    for variables in inventory.hosts.values():
        variables["cairn_planes"]["storag"] = variables["cairn_planes"].pop("storage")
    assert "site: plane storage is missing; did you mean storag?" in sentences()
    assert "compute1: plane storage is not in cairn_planes; did you mean storag?" in sentences()


def test_an_unknown_public_plane(inventory: Any, sentences: Sentences) -> None:
    inventory.everywhere("cairn_public_plane", "servic")
    assert (
        "site: the public plane servic is not among the planes; did you mean service?"
        in sentences()
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "cairn_host_number",
            None,
            "has no cairn_host_number; its addresses are counted by it",
        ),
        (
            "cairn_host_number",
            "one",
            f"has cairn_host_number one; a host number is 11 to {2**24}",
        ),
        ("cairn_host_number", 10, f"has cairn_host_number 10; a host number is 11 to {2**24}"),
        ("cairn_host_number", 11, "has cairn_host_number 11, which is controller1's too"),
        (
            "cairn_host_number",
            200,
            "plane storage has no address for host number 200: 10.0.20.200 is beyond its range "
            "10.0.20.11-10.0.20.99",
        ),
    ],
)
def test_a_wrong_host_number(
    inventory: Any, sentences: Sentences, variable: str, value: Any, expected: str
) -> None:
    inventory.hosts["compute1"][variable] = value
    assert f"compute1: {expected}" in sentences()


@pytest.mark.parametrize(
    ("nic", "value", "expected"),
    [
        ("stor0", {}, "NIC stor0 has no mac; Cairn knows a NIC by its MAC address"),
        (
            "stor0",
            {"mac": "52:54:00"},
            'NIC stor0 has MAC 52:54:00; write it as "52:54:00:12:34:56", quoted',
        ),
        (
            "stor0",
            {"mac": "52:54:00:00:00:13"},
            "NIC stor0 has MAC 52:54:00:00:00:13, which is NIC mgmt0's too",
        ),
        (
            "stor0",
            {"mac": "52-54-00-00-14-11", "mtu": 9000},
            "NIC stor0 has MAC 52:54:00:00:14:11, which is controller1's too",
        ),
        (
            "stor0",
            {"mac": "52:54:00:00:14:13", "mtu": 10},
            "NIC stor0 has MTU 10; an MTU here is 1280 to 9216",
        ),
        (
            "stor0",
            {"mac": "52:54:00:00:14:13", "mtu": 9000, "driver_name": "x"},
            "NIC stor0 has an unknown key driver_name; did you mean driver?",
        ),
        (
            "a.name.with.dots",
            {"mac": "52:54:00:00:99:13"},
            "NIC a.name.with.dots cannot have this name; an interface name is 1 to 15 letters, "
            "digits, _ or -, beginning with a letter",
        ),
    ],
)
def test_a_wrong_nic(
    inventory: Any, sentences: Sentences, nic: str, value: dict[str, Any], expected: str
) -> None:
    inventory.hosts["compute1"]["cairn_nics"][nic] = value
    assert f"compute1: {expected}" in sentences()


@pytest.mark.parametrize(
    ("bonds", "expected"),
    [
        (
            {"bond0": {"members": ["stor9"], "mode": "802.3ad"}},
            "bond bond0 has an unknown NIC stor9; did you mean stor0?",
        ),
        (
            {"bond0": {"members": [], "mode": "802.3ad"}},
            "bond bond0 has members []; it must be a list of NICs",
        ),
        (
            {"bond0": {"members": ["a0", "b0"], "mode": "8023ad"}},
            "bond bond0 has mode 8023ad; did you mean 802.3ad?",
        ),
        (
            {
                "bond0": {"members": ["a0", "b0"], "mode": "802.3ad"},
                "bond1": {"members": ["b0"], "mode": "802.3ad"},
            },
            "bond bond1 has NIC b0, which is in bond bond0 already",
        ),
        (
            {"bond0": {"members": ["a0", "a0"], "mode": "802.3ad"}},
            "bond bond0 has NIC a0, which is in bond bond0 already",
        ),
        (
            {"bond0": {"members": ["b0"], "mode": "802.3ad", "mtu": 9000}},
            "bond bond0 has MTU 9000, above the 1500 of its NIC b0",
        ),
        ({"a0": {"members": ["b0"], "mode": "802.3ad"}}, "bond a0 has the name of a NIC"),
        (
            {"bond0": {"members": ["a0"], "mode": "802.3ad", "options": {"LACPRate": "fast"}}},
            "bond bond0's options has an unknown key LACPRate",
        ),
    ],
)
def test_a_wrong_bond(
    inventory: Any, sentences: Sentences, bonds: dict[str, Any], expected: str
) -> None:
    host = inventory.hosts["compute1"]
    host["cairn_nics"]["a0"] = {"mac": "52:54:00:00:aa:13"}
    host["cairn_nics"]["b0"] = {"mac": "52:54:00:00:bb:13", "mtu": 1500}
    host["cairn_bonds"] = bonds
    assert any(s.startswith(f"compute1: {expected}") for s in sentences()), sentences()


@pytest.mark.parametrize(
    ("plane", "value", "expected"),
    [
        (
            "storage",
            {"interface": "stor1"},
            "plane storage is on an unknown NIC or bond stor1; did you mean stor0?",
        ),
        ("storage", {}, "plane storage has no interface"),
        (
            "storage",
            {"interface": "stor0", "address": "10.0.21.14"},
            "plane storage has address 10.0.21.14 outside its CIDR 10.0.20.0/24",
        ),
        (
            "storage",
            {"interface": "stor0", "address": "10.0.20.11"},
            "plane storage has address 10.0.20.11, which is controller1's too",
        ),
        (
            "management",
            {"interface": "mgmt0", "address": "10.0.0.10"},
            "plane management has address 10.0.0.10, the plane's VIP",
        ),
        (
            "management",
            {"interface": "mgmt0", "address": "10.0.0.1"},
            "plane management has address 10.0.0.1, the plane's gateway",
        ),
        (
            "storage",
            {"interface": "stor0", "vlan": 4095},
            "plane storage has VLAN 4095; a VLAN id is 1 to 4094",
        ),
        (
            "storage",
            {"interface": "serv0"},
            "plane storage has MTU 9000, above the 1500 of serv0; "
            "raise the mtu of serv0 or lower the plane's",
        ),
        (
            "storage",
            {"interface": "stor0", "adress": "10.0.20.14"},
            "plane storage has an unknown key adress; did you mean address?",
        ),
        (
            "strage",
            {"interface": "stor0"},
            "plane strage is not in cairn_planes; did you mean storage?",
        ),
    ],
)
def test_a_wrong_attachment(
    inventory: Any, sentences: Sentences, plane: str, value: dict[str, Any], expected: str
) -> None:
    inventory.hosts["compute1"]["cairn_host_planes"][plane] = value
    assert f"compute1: {expected}" in sentences()


def test_two_planes_in_one_vlan_of_an_interface(inventory: Any, sentences: Sentences) -> None:
    inventory.hosts["compute1"]["cairn_host_planes"]["service"] = {"interface": "stor0", "vlan": 20}
    assert "compute1: plane service has VLAN 20 on stor0, as plane storage has" in sentences()


def test_two_untagged_planes_on_an_interface(inventory: Any, sentences: Sentences) -> None:
    inventory.hosts["compute1"]["cairn_host_planes"]["service"] = {"interface": "mgmt0", "vlan": 0}
    assert "compute1: plane service has no VLAN on mgmt0, as plane management has" in sentences()


def test_a_plane_on_a_bonds_member(inventory: Any, sentences: Sentences) -> None:
    inventory.hosts["compute1"]["cairn_bonds"] = {
        "bond0": {"members": ["stor0"], "mode": "802.3ad", "mtu": 9000}
    }
    assert (
        "compute1: plane storage is on NIC stor0, a member of bond bond0; name the bond"
        in sentences()
    )


def test_a_device_name_that_the_kernel_cannot_hold(inventory: Any, sentences: Sentences) -> None:
    host = inventory.hosts["compute1"]
    host["cairn_nics"]["storagecard00"] = host["cairn_nics"].pop("stor0")
    host["cairn_host_planes"]["storage"]["interface"] = "storagecard00"
    assert (
        "compute1: plane storage would be on device storagecard00.20, a name longer than "
        "15 characters; shorten storagecard00" in sentences()
    )


@pytest.mark.parametrize(
    ("host", "plane", "group"),
    [
        ("controller1", "service", "controller"),
        ("compute1", "storage", "compute"),
        ("network1", "service", "network"),
        ("storage1", "storage", "storage"),
    ],
)
def test_a_host_without_a_plane_that_its_group_needs(
    inventory: Any, sentences: Sentences, host: str, plane: str, group: str
) -> None:
    del inventory.hosts[host]["cairn_host_planes"][plane]
    assert f"{host}: plane {plane} is missing, which every {group} host needs" in sentences()


def test_a_storage_host_needs_no_service_plane(inventory: Any, sentences: Sentences) -> None:
    del inventory.hosts["storage1"]["cairn_host_planes"]["service"]
    assert sentences() == []


def test_a_host_without_a_gateway(inventory: Any, sentences: Sentences) -> None:
    inventory.plane("management", gateway=None)
    assert (
        "compute1: has no default route: none of its planes has a gateway "
        "(management, storage, service)" in sentences()
    )


def test_site_variables_that_differ_between_hosts(inventory: Any, sentences: Sentences) -> None:
    inventory.hosts["compute1"]["cairn_planes"]["storage"]["vlan"] = 21
    (sentence,) = sentences()
    assert sentence.startswith("compute1: has another cairn_planes than controller1;")


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ({"x": {"type": "vlan", "vlans": "100-5000"}}, "provider network x has VLAN 5000; a VLAN"),
        (
            {"x": {"type": "vlan", "vlans": "199-100"}},
            "provider network x has VLANs 199-100, which",
        ),
        ({"x": {"type": "vlan", "vlans": ""}}, "provider network x has VLANs ''; write them as"),
        ({"x": {"type": "gre"}}, "provider network x has type gre; it is flat or vlan"),
        (
            {"x": {"type": "vlan", "vlans": 100}, "y": {"type": "vlan", "vlans": "90-110"}},
            "provider network y has VLAN 100, as provider network x has",
        ),
        (
            {"x": {"type": "flat", "cidr": "10.0.30.0/25"}},
            "provider network x has CIDR 10.0.30.0/25, which overlaps 10.0.30.0/24 of plane",
        ),
        (
            {"x": {"type": "flat", "cidr": "10.9.0.0/24", "mtu": 9000}},
            "provider network x has MTU 9000, above the 1500 of plane service, whose NIC it uses",
        ),
        (
            {"x": {"type": "flat", "cidr": "10.9.0.0/24", "gateway": "10.8.0.1"}},
            "provider network x has gateway 10.8.0.1 outside its CIDR 10.9.0.0/24",
        ),
        (
            {"x": {"type": "flat", "cidr": "10.9.0.0/24", "allocation": "10.9.0.9-10.9.1.9"}},
            "provider network x has allocation ending at 10.9.1.9 outside its CIDR 10.9.0.0/24",
        ),
        (
            {
                "x": {"type": "flat", "cidr": "10.9.0.0/24"},
                "y": {"type": "flat", "cidr": "10.8.0.0/24"},
            },
            "provider networks x, y are all flat; a NIC carries only one",
        ),
        (
            {"x": {"type": "flat", "cidr": "10.9.0.0/24", "vlans": "1-2"}},
            "provider network x has an unknown key vlans",
        ),
    ],
)
def test_a_wrong_provider_network(
    inventory: Any, sentences: Sentences, networks: dict[str, Any], expected: str
) -> None:
    inventory.everywhere("cairn_provider_networks", networks)
    assert any(s.startswith(f"site: {expected}") for s in sentences()), sentences()


def test_a_plane_in_a_providers_vlan(inventory: Any, sentences: Sentences) -> None:
    inventory.plane("service", vlan=150)
    assert sentences() == [
        "network1: plane service has VLAN 150 on serv0, as provider network tenants has"
    ]


def test_an_untagged_plane_on_the_providers_nic(inventory: Any, sentences: Sentences) -> None:
    inventory.plane("service", vlan=None)
    assert sentences() == [
        "network1: plane service is untagged on serv0, whose untagged frames go to the provider "
        "networks; give the plane a VLAN or another NIC"
    ]


def test_all_problems_come_at_once(inventory: Any, sentences: Sentences) -> None:
    inventory.plane("storage", vlan=4097)
    inventory.hosts["compute1"]["cairn_nics"]["stor0"]["mac"] = "wrong"
    inventory.hosts["storage1"]["cairn_host_planes"]["service"] = {"interface": "nothing"}
    found = sentences()
    assert len(found) == 3
    assert {s.partition(":")[0] for s in found} == {"site", "compute1", "storage1"}
