"""What tests ask of a cloud's APIs: each is asked, and what is wrong with one is a problem."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1.exceptions import ConnectFailure, ServiceUnavailable

from cairn.service import registry
from cairn.service.description import catalog_entries
from tests.lab import apis

UP: dict[str, Any] = {
    "/os-services": {"services": [{"binary": "nova-compute", "host": "compute1", "state": "up"}]},
    "/v2.0/agents": {"agents": [{"agent_type": "OVN agent", "host": "compute1", "alive": True}]},
}


class Session:
    """A keystone session with a cloud whose every API answers but for what `said` says."""

    def __init__(self, *kinds: str, **said: Any) -> None:
        self.asked: list[str] = []
        self.said = said
        catalog = SimpleNamespace(catalog=[{"type": kind} for kind in kinds])
        self.auth = SimpleNamespace(get_access=lambda _: SimpleNamespace(service_catalog=catalog))

    def get_endpoint(self, **_: Any) -> str:
        return "https://cloud.example:8000/v1"

    def get(self, path: str, endpoint_filter: Any = None, **_: Any) -> Any:
        kind = endpoint_filter["service_type"] if endpoint_filter else path
        self.asked.append(kind)
        answer = self.said.get(kind, UP.get(path))
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(json=lambda: answer)


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask a made-up cloud."""

    def ask(session: Session, *leave_out: str) -> list[str]:
        cloud = SimpleNamespace(session=session)
        monkeypatch.setattr(apis.verify_run, "admin_cloud", lambda *_: cloud)
        return apis.problems(Path("clouds.yaml"), leave_out)

    return ask


def test_every_api_of_a_site_has_something_to_be_asked_for() -> None:
    known = {
        entry["type"]
        for description in registry.descriptions().values()
        for entry in catalog_entries(description.get("catalog"))
        if entry.get("type")
    }
    assert known == {*apis.LISTS, *apis.ROOTS}


def test_a_cloud_that_serves_has_no_problems(problems: Any) -> None:
    session = Session(*apis.LISTS, *apis.ROOTS)
    assert problems(session) == []
    assert set(session.asked) == {*apis.LISTS, "https://cloud.example:8000/"}


def test_an_api_that_is_down_is_a_problem_and_the_others_are_asked(problems: Any) -> None:
    session = Session("image", "network", image=ServiceUnavailable("503"))
    (said,) = problems(session)
    assert said.startswith("image: 503")
    assert session.asked == ["image", "network"]


def test_one_that_is_known_to_be_down_is_not_asked(problems: Any) -> None:
    session = Session("image", "network", image=ConnectFailure("refused"))
    assert problems(session, "image") == []


def test_services_and_agents_that_are_down_are_named(problems: Any) -> None:
    down = {"services": [{"binary": "nova-compute", "host": "compute2", "state": "down"}]}
    dead = {"agents": [{"agent_type": "OVN agent", "host": "network1", "alive": False}]}
    assert problems(Session("compute", "network", compute=down, network=dead)) == [
        "nova-compute on compute2 is down",
        "OVN agent on network1 is not alive",
    ]


def test_an_api_that_nobody_knows_is_a_problem(problems: Any) -> None:
    assert problems(Session("dns")) == ["dns: nobody knows what to ask it for"]
