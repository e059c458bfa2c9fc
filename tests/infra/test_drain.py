"""Servers that are about to restart get no new requests, and always come back."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

NAME = "keystone-api/controller1"


@pytest.fixture
def module(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found = script("plugins/modules/cairn_drain.py")
    monkeypatch.setattr(found, "PAUSE", 0.01)
    return found


class HAProxy:
    """A HAProxy with the servers of keystone and the status and requests of each."""

    def __init__(self, **status: str) -> None:
        self.status = status or dict.fromkeys(("controller1", "controller2", "controller3"), "UP")
        self.busy = [2, 1, 0]
        self.asked: list[str] = []

    def __call__(self, command: str) -> str:
        if command.startswith("show stat"):
            busy = self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]
            lines = ["# pxname,svname,scur,status,"]
            lines += [f"keystone-api,{s},{busy},{state}," for s, state in self.status.items()]
            return "\n".join(lines) + "\n\n"
        self.asked.append(command)
        _, _, server, _, state = command.split()
        self.status[server.partition("/")[2]] = {"drain": "DRAIN", "ready": "UP"}[state]
        return "\n"


def test_what_is_under_way_is_waited_for(module: ModuleType) -> None:
    haproxy = HAProxy()
    assert module.drain([NAME], 5, haproxy) == ([NAME], 0)
    assert haproxy.status["controller1"] == "DRAIN"


def test_what_takes_too_long_is_told(module: ModuleType) -> None:
    haproxy = HAProxy()
    haproxy.busy = [3]
    assert module.drain([NAME], 0.05, haproxy) == ([NAME], 3)


def test_the_last_that_serves_stays(module: ModuleType) -> None:
    haproxy = HAProxy(controller1="UP", controller2="DOWN", controller3="MAINT")
    assert module.drain([NAME], 0.05, haproxy) == ([], 0)
    assert haproxy.asked == []


def test_another_that_is_coming_up_is_waited_for(module: ModuleType) -> None:
    haproxy = HAProxy(controller1="UP", controller2="DOWN 1/2")
    looks = []

    def ask(command: str) -> str:
        looks.append(command)
        if len(looks) == 4:
            haproxy.status["controller2"] = "UP 1/3"
        return haproxy(command)

    assert module.drain([NAME], 5, ask) == ([NAME], 0)


def test_what_haproxy_does_not_know_is_left_out(module: ModuleType) -> None:
    haproxy = HAProxy()
    assert module.drain(["heat-api/controller1"], 0.05, haproxy) == ([], 0)


def test_it_comes_back(module: ModuleType) -> None:
    haproxy = HAProxy(controller1="DRAIN", controller2="UP")
    assert module.ready([NAME], haproxy) == [NAME]
    assert haproxy.status["controller1"] == "UP"


def test_it_comes_back_by_itself_when_the_run_dies(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(module.subprocess, "run", lambda words, **_: ran.append(words))
    module.arm([NAME], 20)
    (armed,) = [words for words in ran if words[0] == "systemd-run"]
    assert "--on-active=20min" in armed
    compile(armed[-1], "timer", "exec")
    assert f"set server {NAME} state ready" in armed[-1]


@pytest.mark.parametrize(("drained", "left"), [([NAME], []), ([], ["disarm"])])
def test_the_timer_stays_only_for_what_was_drained(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, drained: list[str], left: list[str]
) -> None:
    done: list[str] = []
    given = {"servers": [NAME], "state": "drain", "patience": 1.0, "minutes": 20}
    asked = SimpleNamespace(params=given, exit_json=lambda **_: None)
    monkeypatch.setattr(module, "AnsibleModule", lambda **_: asked)
    monkeypatch.setattr(module, "servers", dict)
    monkeypatch.setattr(module, "drain", lambda *_: (drained, 0))
    monkeypatch.setattr(module, "arm", lambda *_: done.append("arm"))
    monkeypatch.setattr(module, "disarm", lambda *_: done.append("disarm"))
    module.main()
    assert done == ["arm", *left]


# --- the action ------------------------------------------------------------------------------


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


def test_only_those_who_drained_are_told_to_go_back(
    script: Callable[[str], ModuleType],
) -> None:
    who = script("filter_plugins/clusters.py").who_drained
    results = [
        {"item": "controller1", "drained": ["keystone-api/controller1"]},
        {"item": "controller2", "drained": []},
        {"item": "controller3", "failed": True},
    ]
    assert who({"results": results}) == ["controller1"]
    assert who({"skipped": True}) == []
