"""Which services a host may switch ahead: those that are staged and not yet in force."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ASKED = ["ovn", "nova", "iscsi"]
STAGED = {"current": None, "staged": ["new"]}


@pytest.fixture
def switched(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the action for a host with these services; returns what the host is asked to switch."""
    action_class = script("plugins/action/cairn_switch_ahead.py").ActionModule
    calls: list[list[tuple[str, str]]] = []

    def call(_self: Any, _name: str, arguments: dict[str, Any], _vars: Any) -> dict[str, Any]:
        calls.append(list(arguments["services"].items()))
        return {"changed": True}

    model = SimpleNamespace(manifest=lambda role: {"id": "new"} if role in ASKED else None)
    monkeypatch.setattr(action_class, "call", call)
    monkeypatch.setattr(action_class, "model", lambda *_: model)

    def run(services: dict[str, Any], stale: list[str], check: bool = False) -> Any:
        action = object.__new__(action_class)
        action._task = SimpleNamespace(args={"services": ASKED}, check_mode=check)
        host = {"services": services}
        done = action.work({"cairn_host": host, "cairn_stale": dict.fromkeys(stale, "new")})
        assert done["changed"] is bool(calls)
        return calls

    return run


def test_services_are_switched_in_the_given_order(switched: Any) -> None:
    services = {"nova": STAGED, "iscsi": STAGED, "ovn": STAGED}
    assert switched(services, ["iscsi", "nova", "ovn"]) == [
        [("ovn", "new"), ("nova", "new"), ("iscsi", "new")]
    ]


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({**STAGED, "current": "old"}, id="serves"),
        pytest.param({**STAGED, "staged": ["old"]}, id="not staged"),
    ],
)
def test_the_rest_waits_for_its_turn(switched: Any, known: dict[str, Any]) -> None:
    assert switched({"ovn": known, "nova": STAGED}, ["ovn", "nova"]) == [[("nova", "new")]]


def test_services_that_are_current_are_not_switched(switched: Any) -> None:
    assert switched({"ovn": STAGED, "nova": STAGED}, []) == []


def test_a_plan_switches_nothing(switched: Any) -> None:
    assert switched({"ovn": STAGED}, ["ovn"], check=True) == []
