"""The systemd-networkd units of a host, as text."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.site.networkd import bond_netdev, devices, digest, units
from cairn.site.planes import Bond


def made(inventory: Any, host: str) -> dict[str, str]:
    site = inventory.site()
    return units(site.hosts[host], site)


def test_the_files_of_a_host_with_a_nic_for_each_plane(inventory: Any) -> None:
    assert list(made(inventory, "compute1")) == [
        "20-cairn-mgmt0.link",
        "20-cairn-mgmt0.network",
        "20-cairn-serv0.30.netdev",
        "20-cairn-serv0.30.network",
        "20-cairn-serv0.link",
        "20-cairn-serv0.network",
        "20-cairn-stor0.20.netdev",
        "20-cairn-stor0.20.network",
        "20-cairn-stor0.link",
        "20-cairn-stor0.network",
    ]


def test_a_nic_is_named_by_its_mac_and_no_vlan_on_it_is(inventory: Any) -> None:
    assert made(inventory, "compute1")["20-cairn-stor0.link"] == (
        "[Match]\nPermanentMACAddress=52:54:00:00:14:13\nKind=!*\n\n"
        "[Link]\nName=stor0\nMTUBytes=9000\n"
    )


def test_a_driver_narrows_the_match(inventory: Any) -> None:
    inventory.hosts["compute1"]["cairn_nics"]["stor0"]["driver"] = "mlx5_core"
    assert "Driver=mlx5_core\n" in made(inventory, "compute1")["20-cairn-stor0.link"]


def test_an_untagged_plane_with_the_default_route(inventory: Any) -> None:
    assert made(inventory, "compute1")["20-cairn-mgmt0.network"] == (
        "[Match]\nName=mgmt0\n\n"
        "[Link]\nMTUBytes=1500\n\n"
        "[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nDHCP=no\nKeepConfiguration=static\n\n"
        "[Address]\nAddress=10.0.0.13/24\n\n"
        "[Route]\nGateway=10.0.0.1\n"
    )


def test_a_nic_that_only_carries_a_vlan(inventory: Any) -> None:
    files = made(inventory, "compute1")
    assert files["20-cairn-stor0.network"] == (
        "[Match]\nName=stor0\n\n"
        "[Link]\nMTUBytes=9000\nRequiredForOnline=carrier\n\n"
        "[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nDHCP=no\nKeepConfiguration=static\n"
        "VLAN=stor0.20\n"
    )
    assert files["20-cairn-stor0.20.netdev"] == (
        "[NetDev]\nName=stor0.20\nKind=vlan\nMTUBytes=9000\n\n[VLAN]\nId=20\n"
    )
    assert "[Address]\nAddress=10.0.20.13/24\n" in files["20-cairn-stor0.20.network"]


def test_the_provider_nic_of_a_network_host_keeps_its_bridge(inventory: Any) -> None:
    assert "KeepMaster=yes\n" in made(inventory, "network1")["20-cairn-serv0.network"]
    assert "KeepMaster" not in "".join(made(inventory, "compute1").values())


def test_a_bond_and_its_members(inventory: Any) -> None:
    host = inventory.hosts["compute1"]
    host["cairn_nics"]["stor1"] = {"mac": "52:54:00:00:15:13"}
    del host["cairn_nics"]["stor0"]["mtu"]
    host["cairn_bonds"] = {
        "bond0": {
            "members": ["stor0", "stor1"],
            "mode": "802.3ad",
            "mtu": 9000,
            "options": {"TransmitHashPolicy": "layer3+4", "LACPTransmitRate": "fast"},
        }
    }
    host["cairn_host_planes"]["storage"]["interface"] = "bond0"
    files = made(inventory, "compute1")
    assert files["20-cairn-bond0.netdev"] == (
        "[NetDev]\nName=bond0\nKind=bond\nMTUBytes=9000\n\n"
        "[Bond]\nMode=802.3ad\nLACPTransmitRate=fast\nMIIMonitorSec=100ms\n"
        "TransmitHashPolicy=layer3+4\n"
    )
    assert files["20-cairn-stor1.network"] == (
        "[Match]\nName=stor1\n\n[Link]\nRequiredForOnline=no\n\n"
        "[Network]\nBond=bond0\nLinkLocalAddressing=no\n"
    )
    assert "MTUBytes=9000\n" in files["20-cairn-stor1.link"]
    assert "VLAN=bond0.20\n" in files["20-cairn-bond0.network"]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, ["MIIMonitorSec=100ms"]),
        ({"MIIMonitorSec": "1s"}, ["MIIMonitorSec=1s"]),
        (
            {"ARPIntervalSec": "1s", "ARPIPTargets": "10.0.0.1"},
            ["ARPIPTargets=10.0.0.1", "ARPIntervalSec=1s"],
        ),
    ],
)
def test_a_bond_always_watches_its_members(options: dict[str, str], lines: list[str]) -> None:
    text = bond_netdev(Bond("bond0", ("a0", "a1"), "active-backup", 1500, options))
    assert text.partition("Mode=active-backup\n")[2].splitlines() == lines


def test_an_untagged_plane_below_its_devices_mtu_has_it_on_its_routes(inventory: Any) -> None:
    inventory.hosts["compute1"]["cairn_nics"]["mgmt0"]["mtu"] = 9000
    text = made(inventory, "compute1")["20-cairn-mgmt0.network"]
    assert "[Address]\nAddress=10.0.0.13/24\nAddPrefixRoute=no\n" in text
    assert (
        "[Route]\nDestination=10.0.0.0/24\nScope=link\nPreferredSource=10.0.0.13\nMTUBytes=1500\n"
        in text
    )
    assert "[Route]\nGateway=10.0.0.1\nMTUBytes=1500\n" in text


def test_a_second_gateway_answers_only_its_own_plane(inventory: Any) -> None:
    inventory.plane("service", gateway="10.0.30.1")
    text = made(inventory, "compute1")["20-cairn-serv0.30.network"]
    assert "[Route]\nGateway=10.0.30.1\nTable=1002\n" in text
    assert (
        "[RoutingPolicyRule]\nFrom=10.0.30.0/24\nTable=main\nSuppressPrefixLength=0\nPriority=1000\n"
        in text
    )
    assert "[RoutingPolicyRule]\nFrom=10.0.30.0/24\nTable=1002\nPriority=1001\n" in text


def test_the_only_gateway_is_the_default_route_whatever_its_plane(inventory: Any) -> None:
    inventory.plane("management", gateway=None)
    inventory.plane("service", gateway="10.0.30.1")
    del inventory.hosts["storage1"]  # it has no service plane of need, hence no gateway
    inventory.groups["storage"] = []
    text = made(inventory, "compute1")["20-cairn-serv0.30.network"]
    assert text.endswith("[Route]\nGateway=10.0.30.1\n")


def test_devices_are_what_the_kernel_must_show(inventory: Any) -> None:
    assert devices(inventory.site().hosts["compute1"]) == {
        "mgmt0": {"addresses": ["10.0.0.13/24"], "mtu": 1500},
        "stor0": {"addresses": [], "mtu": 9000},
        "stor0.20": {"addresses": ["10.0.20.13/24"], "mtu": 9000},
        "serv0": {"addresses": [], "mtu": 1500},
        "serv0.30": {"addresses": ["10.0.30.13/24"], "mtu": 1500},
    }


@given(
    st.lists(
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
        max_size=5,
        unique_by=lambda d: tuple(sorted(d.items())),
    )
)
def test_hashes_differ_exactly_where_files_do(sets: list[dict[str, str]]) -> None:
    assert all(digest(a) != digest(b) for a, b in itertools.combinations(sets, 2))
    assert all(digest(s) == digest(dict(reversed(s.items()))) for s in sets)
