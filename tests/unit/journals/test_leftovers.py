"""What is left on a host of what was deleted is a problem, and what should be there is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.journals import leftovers

NETWORK = "23923300-21fa-4040-8ae8-c9b35cd4813f"
SERVER = "1bd0f8f1-3a5e-4a70-9a7c-0d6b1c3d9c11"
VOLUME = "7a1f6f2e-6a0d-4f0e-8f6a-5a7d1a9be001"
PROXY = f"haproxy\0-f\0/var/lib/neutron/ovn-metadata-proxy/{NETWORK}.conf\0"
GUEST = f"/usr/bin/qemu-system-x86_64\0-name\0guest=instance-00000001\0-uuid\0{SERVER}\0"
HELPER = "/v/bin/python\0/v/bin/privsep-helper\0--privsep_context\0neutron.privileged.default\0"
AGENT = "neutron-ovn-agent: ServiceWrapper worker(0)"  # by setproctitle
UNIT = "neutron-ovn-agent.service"
WANTED: dict[str, list[str]] = {"networks": [NETWORK], "servers": [SERVER], "volumes": [VOLUME]}
NOTHING: dict[str, list[str]] = {"networks": [], "servers": [], "volumes": []}
SESSION = f"tcp: [1] 198.18.1.31:3260,1 iqn.2010-10.org.openstack:volume-{VOLUME} (non-flash)"


def state(*words: str, namespaces: list[str] | None = None, sessions: str = "") -> dict[str, Any]:
    return {
        "processes": [[UNIT, "993" if one == AGENT else "0", one] for one in words],
        "namespaces": namespaces or [],
        "sessions": sessions.splitlines(),
    }


def test_a_host_with_what_it_should_have_has_nothing_left() -> None:
    there = state(PROXY, GUEST, AGENT, HELPER, namespaces=[f"ovnmeta-{NETWORK}"], sessions=SESSION)
    assert leftovers.problems("compute1", there, WANTED) == []
    assert leftovers.problems("compute1", state(), NOTHING) == []


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (state(PROXY), "1 x haproxy of network"),
        (state(namespaces=[f"ovnmeta-{NETWORK}"]), "namespace ovnmeta-"),
        (state(GUEST), "1 x qemu of instance"),
        (state(sessions=SESSION), "iSCSI session to volume"),
        (state("/usr/sbin/dnsmasq\0--conf-file=x\0"), "dnsmasq, though OVN"),
        (state(AGENT, HELPER, HELPER), "2 x privsep-helper"),
        (state(HELPER), "0 processes to ask it"),
    ],
)
def test_what_is_left_is_a_problem(there: dict[str, Any], text: str) -> None:
    (problem,) = leftovers.problems("compute1", there, NOTHING)
    assert problem.startswith("compute1: ")
    assert text in problem


def test_two_proxies_of_one_network_are_a_problem_and_none_is_one() -> None:
    wanted = {**NOTHING, "networks": [NETWORK]}
    (twice,) = leftovers.problems("c", state(PROXY, PROXY), wanted)
    assert "one is enough" in twice
    (never,) = leftovers.problems("c", state(), wanted)
    assert "no metadata proxy" in never


def test_this_machine_can_be_asked() -> None:
    there = leftovers.state()
    assert any("python" in words for _, _, words in there["processes"])
