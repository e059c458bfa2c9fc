"""A load balancer is asked to drain the servers of what will restart, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn.service.clusters import who_drained


@pytest.fixture
def asked(
    script: Callable[[str], ModuleType],
    make_model: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., list[list[str]]]:
    """Which servers a load balancer is asked to drain for a service on controller1."""
    module = script("plugins/action/cairn_drain.py")

    def run(
        role: str,
        current: str | None,
        controllers: int = 3,
        state: str = "drain",
        generation: str | None = None,
    ) -> list[list[str]]:
        model = make_model("controller1", controllers=controllers)
        calls: list[list[str]] = []

        def call(_: Any, name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            calls.append(arguments["servers"])
            return {"changed": False, "drained": arguments["servers"], "left": 0}

        monkeypatch.setattr(module.ActionModule, "call", call)
        monkeypatch.setattr(module.ActionModule, "model", lambda *_: model)
        action = object.__new__(module.ActionModule)
        args = {"service": role, "state": state, "generation": generation}
        action._task = SimpleNamespace(args=args, check_mode=False)
        known = {role: {"current": current}} if current else {}
        host = {"cairn_host": {"services": known}, "inventory_hostname": "controller1"}
        action.work(host)
        return calls

    return run


def test_a_service_that_changes_is_drained_with_all_its_frontends(
    asked: Callable[..., list[list[str]]],
) -> None:
    (servers,) = asked("nova", "before")
    assert {name.partition("/")[2] for name in servers} == {"controller1"}
    assert "nova-api/controller1" in servers
    assert "nova-console-files/controller1" in servers


def test_nothing_is_drained_where_nothing_restarts(
    asked: Callable[..., list[list[str]]], make_model: Callable[..., Any]
) -> None:
    same = make_model("controller1", controllers=3).manifest("keystone")["id"]
    assert asked("keystone", same) == []
    assert asked("keystone", None) == [], "it has yet to serve"
    assert asked("keystone", "before", controllers=1) == [], "nobody else serves"
    assert asked("mysql", "before") == [], "connections last for hours"
    assert asked("memcached", "before") == []


def test_going_back_from_what_the_inventory_asks_for_is_drained_too(
    asked: Callable[..., list[list[str]]], make_model: Callable[..., Any]
) -> None:
    same = make_model("controller1", controllers=3).manifest("keystone")["id"]
    assert asked("keystone", same, generation="before") == [["keystone-api/controller1"]]
    assert asked("keystone", "before", generation="before") == []


def test_only_load_balancers_that_drained_are_restored() -> None:
    results = [
        {"item": "controller1", "drained": ["keystone-api/controller1"]},
        {"item": "controller2", "drained": []},
        {"item": "controller3", "failed": True},
    ]
    assert who_drained({"results": results}) == ["controller1"]
    assert who_drained({"skipped": True}) == []
