"""The plan of a lab's networks."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from lab import inventory, network, vlan
from lab.inventory import Site
from lab.network import Plan
from lab.run import LabError

UPLINK = IPv4Network("198.19.4.8/30")


@pytest.fixture
def plan(site: Site) -> Plan:
    return network.plan(site, native_vlans=True)


def test_every_segment_is_a_bridge_with_the_mtu_of_its_planes(plan: Plan) -> None:
    for line in ("mgmt0 mtu 1500 up", "serv0 mtu 1500 up", "stor0 mtu 9000 up"):
        assert f"link set {line}" in plan.lines


def test_every_nic_is_a_tap_on_its_segment_that_takes_jumbo_frames(site: Site, plan: Plan) -> None:
    taps = [line for line in plan.lines if line.startswith("link set tap")]
    assert len(taps) == 6
    alpha = site.host("alpha")
    stor0 = next(nic for nic in alpha.nics if nic.name == "stor0")
    name = network.tap(alpha, stor0)
    assert f'link set {name} mtu 9000 master stor0 alias "alpha stor0" up' in taps


def test_device_names_fit_the_kernel_s_fifteen_characters(hostvars: dict[str, Any]) -> None:
    hostvars["a-host-with-a-very-long-name-0123"] = hostvars.pop("alpha")
    site = inventory.site(hostvars)
    names = {network.tap(host, nic) for host in site.hosts for nic in host.nics}
    assert len(names) == 6
    assert max(map(len, [*names, network.veth_name("a" * 31)])) <= 15


def test_tagged_planes_get_vlan_interfaces_with_their_own_mtu(plan: Plan) -> None:
    assert "link add link stor0 name stor0.20 type vlan id 20" in plan.lines
    assert "link set stor0.20 mtu 9000 up" in plan.lines
    assert "address add 198.18.20.1/24 dev stor0.20" in plan.lines
    assert "link set serv0.30 mtu 1500 up" in plan.lines
    assert plan.tags == ()


def test_a_kernel_without_vlans_gets_veth_pairs_with_programs(site: Site) -> None:
    plan = network.plan(site, native_vlans=False)
    assert "link add name stor0.20 type veth peer name stor0.20p" in plan.lines
    assert "link set stor0.20p mtu 9000 master stor0 up" in plan.lines
    assert ("stor0.20", vlan.push(20)) in plan.tags
    assert ("stor0.20p", vlan.pop(20)) in plan.tags


def test_untagged_networks_lie_on_the_bridge_itself(plan: Plan) -> None:
    assert "address add 198.18.0.1/24 dev mgmt0" in plan.lines
    assert "address add 198.18.40.1/24 dev serv0" in plan.lines


def test_guests_go_out_behind_the_uplink_s_address() -> None:
    inside, outside = network.rules("lab", UPLINK)
    assert "oifname uplink masquerade" in inside
    assert f"table ip {network.table('lab')} " in outside
    assert "ip saddr 198.19.4.10 masquerade" in outside


def test_two_labs_share_no_name_and_no_uplink() -> None:
    first = network.free_uplink("lab", [])
    second = network.free_uplink("other", [first])
    assert not first.overlaps(second)
    assert network.namespace("lab") != network.namespace("other")
    assert network.veth_name("lab") != network.veth_name("other")
    assert network.table("lab") != network.table("other")


def test_an_uplink_avoids_what_is_taken() -> None:
    wanted = network.free_uplink("lab", [])
    assert network.free_uplink("lab", [wanted.supernet(new_prefix=24)]) != wanted


def test_a_full_pool_is_an_error() -> None:
    with pytest.raises(LabError, match="no free /30"):
        network.free_uplink("lab", [network.UPLINK_POOL])


def test_another_vlan_or_nic_is_another_network(site: Site, hostvars: dict[str, Any]) -> None:
    before = network.fingerprint(site)
    for name in ("alpha", "beta"):
        hostvars[name]["lab_memory_mb"] = 4096
    assert network.fingerprint(inventory.site(hostvars)) == before
    for name in ("alpha", "beta"):
        hostvars[name]["cairn_planes"]["storage"]["vlan"] = 21
    assert network.fingerprint(inventory.site(hostvars)) != before


def test_programs_name_their_vlan() -> None:
    assert vlan.push(20) != vlan.push(21)
    assert len(vlan.pop(20)) % 8 == 0
    assert (4094).to_bytes(4, "little") in vlan.pop(4094)
