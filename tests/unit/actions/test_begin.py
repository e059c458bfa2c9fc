"""What a host may begin ahead of its turn: what is staged there, and serves nobody yet."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ASKED = ["ovn", "nova", "iscsi"]
STAGED = {"current": None, "staged": ["new"]}


@pytest.fixture
def begun(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the action for a host with these services; what its host is told to switch."""
    action_class = script("plugins/action/cairn_begin.py").ActionModule
    told: list[list[tuple[str, str]]] = []

    def call(_self: Any, _name: str, arguments: dict[str, Any], _vars: Any) -> dict[str, Any]:
        told.append(list(arguments["services"].items()))
        return {"changed": True}

    model = SimpleNamespace(manifest=lambda role: {"id": "new"} if role in ASKED else None)
    monkeypatch.setattr(action_class, "call", call)
    monkeypatch.setattr(action_class, "model", lambda *_: model)

    def run(services: dict[str, Any], stale: list[str], check: bool = False) -> Any:
        action = object.__new__(action_class)
        action._task = SimpleNamespace(args={"services": ASKED}, check_mode=check)
        host = {"services": services}
        done = action.work({"cairn_host": host, "cairn_stale": dict.fromkeys(stale, "new")})
        assert done["changed"] is bool(told)
        return told

    return run


def test_services_begin_in_the_order_asked_for(begun: Any) -> None:
    services = {"nova": STAGED, "iscsi": STAGED, "ovn": STAGED}
    assert begun(services, ["iscsi", "nova", "ovn"]) == [
        [("ovn", "new"), ("nova", "new"), ("iscsi", "new")]
    ]


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({**STAGED, "current": "old"}, id="serves"),
        pytest.param({**STAGED, "staged": ["old"]}, id="not staged"),
    ],
)
def test_the_rest_waits_for_its_turn(begun: Any, known: dict[str, Any]) -> None:
    assert begun({"ovn": known, "nova": STAGED}, ["ovn", "nova"]) == [[("nova", "new")]]


def test_nothing_begins_that_is_as_it_should_be(begun: Any) -> None:
    assert begun({"ovn": STAGED, "nova": STAGED}, []) == []


def test_a_plan_begins_nothing(begun: Any) -> None:
    assert begun({"ovn": STAGED}, ["ovn"], check=True) == []
