"""The external network is found or made, waiting ends, names and secrets are of one run only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1.exceptions import ConnectFailure
from openstack import exceptions

from cairn.verify import run as verify_run
from cairn.verify.run import ProofError

WANTED = {
    "physical_network": "physnet1",
    "cidr": "198.18.40.0/24",
    "gateway": "198.18.40.1",
    "allocation": "198.18.40.100-198.18.40.199",
    "mtu": "1500",
    "keep": "",
}


class Networks:
    """The few network calls that making an external network needs."""

    def __init__(self, *there: Any) -> None:
        self.there = list(there)
        self.made: list[dict[str, Any]] = []

    def networks(self, **_: Any) -> list[Any]:
        return self.there

    def create_network(self, **attributes: Any) -> Any:
        self.made.append(attributes)
        return SimpleNamespace(id="new", **attributes)

    def create_subnet(self, **attributes: Any) -> Any:
        self.made.append(attributes)
        return SimpleNamespace(id="subnet")


def external(networks: Networks, **changed: Any) -> Any:
    admin = SimpleNamespace(network=networks)
    return verify_run.external_network(admin, verify_run.new_run(), WANTED | changed)


def network(physical: str, kind: str = "flat") -> SimpleNamespace:
    return SimpleNamespace(provider_physical_network=physical, provider_network_type=kind)


def test_a_network_on_the_physical_network_is_used() -> None:
    there = network("physnet1")
    networks = Networks(network("other"), network("physnet1", "vlan"), there)
    assert external(networks) is there
    assert networks.made == []


def test_a_missing_one_is_made_under_a_name_that_is_removed_again() -> None:
    networks = Networks()
    assert external(networks).name.startswith(verify_run.PREFIX)
    made, subnet = networks.made
    assert made["mtu"] == 1500, "neutron would take the service plane's"
    assert subnet["allocation_pools"] == [{"start": "198.18.40.100", "end": "198.18.40.199"}]
    assert not subnet["enable_dhcp"]


def test_one_without_an_mtu_has_neutrons() -> None:
    networks = Networks()
    external(networks, mtu="")
    assert "mtu" not in networks.made[0]


def test_one_that_is_to_stay_has_the_name_that_was_asked_for() -> None:
    assert external(Networks(), keep="external").name == "external"


def test_runs_share_neither_names_nor_secrets() -> None:
    one, other = verify_run.new_run(), verify_run.new_run()
    assert one.name != other.name
    assert one.password != other.password
    assert one.request != other.request
    assert one.public_key.startswith("ssh-ed25519 ")


def test_waiting_gives_the_answer() -> None:
    answers = iter([None, "", "here"])
    assert verify_run.wait("x", 5, lambda: next(answers), interval=0) == "here"


def test_waiting_in_vain_says_for_what_and_how_long() -> None:
    with pytest.raises(ProofError, match="an answer: not within 0 s"):
        verify_run.wait("an answer", 0, lambda: None, interval=0.01)


def test_a_services_refusal_says_what_was_being_done() -> None:
    refusal = exceptions.HttpException("no", details="quota exceeded")
    refusal.status_code = 403
    with (
        pytest.raises(ProofError, match="making the user: HTTP 403: quota exceeded"),
        verify_run.explained("making the user"),
    ):
        raise refusal


def test_novas_times_are_utc() -> None:
    assert verify_run.seconds_of("2026-11-23T09:00:00.500000") == 1795424400.5


class Compute:
    """Nova's answers about one instance."""

    def __init__(self, request: str) -> None:
        self.actions = [
            SimpleNamespace(
                request_id="req-other", action="stop", start_time="2026-01-01T00:00:00"
            ),
            SimpleNamespace(
                request_id=request,
                action="create",
                start_time="2026-11-23T09:00:00",
                events=[
                    SimpleNamespace(
                        event="compute__do_build_and_run_instance",
                        host="compute1",
                        start_time="2026-11-23T09:00:01",
                    )
                ],
            ),
        ]

    def server_actions(self, _: str) -> list[Any]:
        return self.actions

    def get_server_action(self, request: str, _: str) -> Any:
        return next(one for one in self.actions if one.request_id == request)


def test_only_the_action_of_this_request_is_evidence() -> None:
    run = verify_run.new_run()
    run.ids.update(server="s", request="req-mine")
    verify_run.observe_actions(SimpleNamespace(compute=Compute("req-mine")), run)
    assert "create of req-mine" in run.facts["action"]["text"]
    assert "compute1" in run.facts["build_event"]["text"]
    assert run.facts["build_event"]["time"] - run.facts["action"]["time"] == 1.0


def test_another_requests_action_is_none() -> None:
    run = verify_run.new_run()
    run.ids.update(server="s", request="req-mine")
    verify_run.observe_actions(SimpleNamespace(compute=Compute("req-theirs")), run)
    assert run.facts == {}


def test_a_refused_connection_is_explained_too() -> None:
    with (
        pytest.raises(ProofError, match="asking cloud cairn: no route"),
        verify_run.explained("asking cloud cairn"),
    ):
        raise ConnectFailure("no route")


def test_a_service_without_endpoints_is_not_served_though_the_catalog_names_it() -> None:
    catalog = [
        {"type": "compute", "endpoints": [{"interface": "internal"}, {"interface": "public"}]},
        {"type": "orchestration", "endpoints": []},
        {"type": "metric", "endpoints": [{"interface": "internal"}]},
    ]
    assert verify_run.served(catalog) == ["compute"]
