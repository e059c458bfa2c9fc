"""Further networks are attached at once, and the guest's words are held against neutron's."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cairn.verify import network
from cairn.verify.run import ProofError, Run

ADDRESS = "10.254.254.17"


class Cloud:
    """Neutron, nova and a guest in memory. `spoilt` names what does not work."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.attached: list[str] = []
        self.spoilt: set[str] = set()
        self.network = self.compute = self

    def get_port(self, ident: str) -> Any:
        assert ident == "port1"
        name = "" if "name" in self.spoilt else "cairn-verify-1"
        assignment = {
            "ip_address": ADDRESS,
            "hostname": name,
            "fqdn": f"{name}.cloud.internal.",
        }
        return SimpleNamespace(id=ident, dns_name=name, dns_assignment=[assignment])

    def create_network(self, name: str) -> Any:
        self.made.append(name)
        return SimpleNamespace(id=f"id-of-{name}", name=name)

    def create_subnet(self, network_id: str, gateway_ip: None, **_: Any) -> None:
        assert network_id == f"id-of-{self.made[-1]}"

    def create_server_interface(self, server: str, net_id: str) -> None:
        assert server == "i1"
        self.attached.append(net_id)

    def fetch(self, _: str, path: str, seconds: float) -> str | None:
        parts = urlsplit(path)
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if parts.path == "/cgi-bin/lookup":
            known = (
                () if "dns" in self.spoilt else ("cairn-verify-1", "cairn-verify-1.cloud.internal")
            )
            return f"{ADDRESS}\n" if query["name"] in known else "\n"
        assert len(self.attached) == 2, "asked before all were attached"
        if query["name"] in self.spoilt:
            return None
        uuid = "other" if "metadata" in self.spoilt else "i1"
        return json.dumps({"address": "10.254.253.5/24", "metadata": {"uuid": uuid}})


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(network, "user_cloud", lambda admin, run: made)
    monkeypatch.setattr(network, "fetch", made.fetch)
    monkeypatch.setattr(network, "METADATA_SECONDS", 1)
    return made


@pytest.fixture
def run() -> Run:
    ids = {"server": "i1", "port": "port1"}
    return Run("cairn-verify-1", "pw", "n", "req-1", "ssh", ids, floating_ip="x", host="compute1")


def test_metadata_come_over_each_network_and_names_resolve(cloud: Cloud, run: Run) -> None:
    first, second = network.networks(cloud, run)
    assert "cairn-verify-1 and cairn-verify-1.cloud.internal resolve" in first.text
    assert "eth1 has 10.254.253.5/24" in second.text
    assert "eth2" in second.text
    assert len(cloud.attached) == 2


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("name", "has no dns_name"),
        ("dns", "cairn-verify-1 does not resolve to 10.254.254.17: no such name"),
        ("eth1", "over the further network on eth1, by the agent of compute1: not within"),
        ("eth2", "over the further network on eth2, by the agent of compute1: not within"),
        ("metadata", "the metadata over eth2 is of 'other', not of i1"),
    ],
)
def test_what_does_not_work_is_an_error(cloud: Cloud, run: Run, spoilt: str, said: str) -> None:
    cloud.spoilt = {spoilt}
    with pytest.raises(ProofError, match=said):
        network.networks(cloud, run)


def test_an_agent_that_waits_in_vain_for_a_minute_is_too_slow() -> None:
    assert network.METADATA_SECONDS + network.ANSWER_SECONDS <= 60
