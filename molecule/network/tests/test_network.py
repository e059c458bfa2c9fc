"""The planes of every host, as seen by the kernel and by other hosts."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import Any

import pytest

testinfra_hosts = [
    f"ansible://{group}" for group in ("controller", "network", "compute", "storage")
]

STATE = "/var/lib/cairn/network"
HEADERS = 28  # of IP and ICMP, which an MTU counts and a ping's size does not


@dataclass(frozen=True)
class Plane:
    """One plane of a host, as declared in the inventory."""

    interface: str
    vlan: int | None
    address: str
    mtu: int
    peer: str

    @property
    def device(self) -> str:
        """The interface itself, or its VLAN."""
        return f"{self.interface}.{self.vlan}" if self.vlan else self.interface


@pytest.fixture
def planes(host: Any, site: Any) -> dict[str, Plane]:
    """Return the host's planes by name; the peer is the next host on the plane, if any."""
    runner = host.backend.ansible_runner
    everyone = {name: runner.get_variables(name) for name in runner.get_hosts("all")}
    own = everyone[site.name]["cairn_host_planes"]
    found = {}
    for name, where in own.items():
        plane = site.planes[name]
        having = sorted(h for h, v in everyone.items() if name in v.get("cairn_host_planes", {}))
        peer = having[(having.index(site.name) + 1) % len(having)]
        found[name] = Plane(
            where["interface"],
            where.get("vlan", plane.get("vlan")),
            f"{site.address(name)}/{ipaddress.ip_network(plane['cidr']).prefixlen}",
            plane.get("mtu", 1500),
            type(site)(everyone[peer]).address(name) if peer != site.name else "",
        )
    return found


def links(host: Any) -> dict[str, Any]:
    """Return the kernel's interfaces by name."""
    shown = json.loads(host.check_output("ip -d -j address"))
    return {link["ifname"]: link for link in shown if link}


def test_each_plane_has_its_address_and_no_other_device_has_it(
    host: Any, planes: dict[str, Plane]
) -> None:
    shown = links(host)
    for name, plane in planes.items():
        having = [
            device
            for device, link in shown.items()
            for a in link["addr_info"]
            if f"{a['local']}/{a['prefixlen']}" == plane.address
        ]
        assert having == [plane.device], name


def test_each_plane_has_its_mtu_and_its_vlan(host: Any, planes: dict[str, Plane]) -> None:
    shown = links(host)
    for name, plane in planes.items():
        link = shown[plane.device]
        if plane.vlan:
            assert link["mtu"] == plane.mtu, name
            assert link["linkinfo"]["info_kind"] == "vlan"
            assert (link["link"], link["linkinfo"]["info_data"]["id"]) == (
                plane.interface,
                int(plane.vlan),
            )
        else:
            # A NIC has the largest MTU of its planes; a plane's own MTU is on its routes.
            assert link["mtu"] >= plane.mtu, name


def test_each_card_has_the_name_that_the_inventory_gives_it(host: Any) -> None:
    shown = links(host)
    for name, card in host.ansible.get_variables()["cairn_nics"].items():
        link = shown[name]
        slave = link.get("linkinfo", {}).get("info_slave_data", {})
        mac = slave.get("perm_hwaddr") or link.get("permaddr") or link["address"]
        assert mac == card["mac"].lower(), name


def test_a_packet_of_the_full_mtu_reaches_a_peer_and_a_larger_one_is_not_sent(
    host: Any, planes: dict[str, Plane]
) -> None:
    asked = {name: plane for name, plane in planes.items() if plane.peer}
    assert asked, "this host has no neighbour"
    for name, plane in asked.items():
        ping = f"ping -M do -c 3 -i 0.3 -W 5 -I {plane.address.partition('/')[0]} -s"
        fits = host.run(f"{ping} {plane.mtu - HEADERS} {plane.peer}")
        assert fits.rc == 0, f"{name}: {fits.stdout}{fits.stderr}"
        larger = host.run(f"{ping} {plane.mtu - HEADERS + 1} {plane.peer}")
        assert larger.rc != 0, name
        assert "message too long" in (larger.stdout + larger.stderr).lower(), name


def test_what_is_outside_is_reached_by_the_first_plane_that_has_a_gateway(
    host: Any, site: Any, planes: dict[str, Plane]
) -> None:
    order = sorted(planes, key=lambda name: name != "management")
    wanted = [
        {"gateway": str(site.planes[name]["gateway"]), "dev": planes[name].device}
        for name in order
        if site.planes[name].get("gateway")
    ][:1]
    routes = json.loads(host.check_output("ip -j -4 route show default"))
    assert [{key: route[key] for key in ("gateway", "dev")} for route in routes] == wanted


def test_networkd_alone_has_the_network(host: Any, runs: Any) -> None:
    runs("systemd-networkd")
    keep = host.ansible.get_variables().get("network_keep", [])
    if not keep:
        found = host.check_output("ls -A /etc/systemd/network").split()
        assert [name for name in found if not name.startswith("20-cairn-")] == []
    interfaces = host.run("grep -hE '^[[:space:]]*iface' -r /etc/network/interfaces*").stdout
    assert {line.split()[1] for line in interfaces.splitlines()} <= {"lo"}
    assert host.run("ls -A /etc/netplan").stdout.split() == []


def test_the_change_was_confirmed_and_nothing_waits_to_take_it_back(host: Any) -> None:
    assert host.file(f"{STATE}/confirmed.json").is_file
    assert not host.file(f"{STATE}/trial/armed").exists
    for unit in ("cairn-network-revert.timer", "cairn-network-apply.service"):
        assert not host.service(unit).is_running, unit


def test_a_change_that_a_power_cut_interrupts_would_be_taken_back_at_boot(host: Any) -> None:
    assert host.service("cairn-network-boot").is_enabled
