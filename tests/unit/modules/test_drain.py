"""Servers that are about to restart get no new requests, and always come back."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn.service.clusters import who_drained

NAME = "keystone-api/controller1"


@pytest.fixture
def module(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ModuleType:
    found = script("plugins/modules/cairn_drain.py")
    monkeypatch.setattr(found, "PAUSE", 0.01)
    monkeypatch.setattr(found, "DRAINED", tmp_path / "drained")
    return found


@pytest.fixture
def taken() -> list[str]:
    """The servers that `drain` announces before it takes them out."""
    return []


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


def test_what_is_under_way_is_waited_for(module: ModuleType, taken: list[str]) -> None:
    haproxy = HAProxy()
    assert module.drain([NAME], 5, taken.extend, haproxy) == ([NAME], 0)
    assert haproxy.status["controller1"] == "DRAIN"
    assert taken == [NAME]


def test_connections_left_after_the_time_limit_are_counted(
    module: ModuleType, taken: list[str]
) -> None:
    haproxy = HAProxy()
    haproxy.busy = [3]
    assert module.drain([NAME], 0.05, taken.extend, haproxy) == ([NAME], 3)


def test_the_last_that_serves_stays(module: ModuleType, taken: list[str]) -> None:
    haproxy = HAProxy(controller1="UP", controller2="DOWN", controller3="MAINT")
    assert module.drain([NAME], 0.05, taken.extend, haproxy) == ([], 0)
    assert haproxy.asked == taken == []


def test_another_that_is_coming_up_is_waited_for(module: ModuleType, taken: list[str]) -> None:
    haproxy = HAProxy(controller1="UP", controller2="DOWN 1/2")
    looks = []

    def ask(command: str) -> str:
        looks.append(command)
        if len(looks) == 4:
            haproxy.status["controller2"] = "UP 1/3"
        return haproxy(command)

    assert module.drain([NAME], 5, taken.extend, ask) == ([NAME], 0)


def test_what_haproxy_does_not_know_is_left_out(module: ModuleType, taken: list[str]) -> None:
    haproxy = HAProxy()
    assert module.drain(["heat-api/controller1"], 0.05, taken.extend, haproxy) == ([], 0)


def test_it_comes_back(module: ModuleType) -> None:
    haproxy = HAProxy(controller1="DRAIN", controller2="UP")
    assert module.ready([NAME], haproxy) == [NAME]
    assert haproxy.status["controller1"] == "UP"


@pytest.mark.parametrize("status", ["DRAIN", "MAINT"])
def test_what_an_operator_took_out_stays_out(
    module: ModuleType, taken: list[str], status: str
) -> None:
    haproxy = HAProxy(controller1=status, controller2="UP")
    assert module.drain([NAME], 0.05, taken.extend, haproxy) == ([], 0)
    assert haproxy.asked == taken == []
    assert module.ready(module.remembered([NAME]), haproxy) == []
    assert haproxy.status["controller1"] == status


def test_maintenance_that_an_operator_begins_meanwhile_stays(module: ModuleType) -> None:
    haproxy = HAProxy(controller1="MAINT", controller2="UP")
    assert module.ready([NAME], haproxy) == []
    assert haproxy.status["controller1"] == "MAINT"


class Admin(Thread):
    """HAProxy's admin socket with servers of the given status; `asked` is what it was asked."""

    def __init__(self, path: Path, status: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.haproxy = HAProxy(**status)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()

    def run(self) -> None:
        while True:
            client, _ = self.server.accept()
            client.sendall(self.haproxy(client.recv(1000).decode().strip()).encode())
            client.close()


def test_it_comes_back_by_itself_when_the_run_dies(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[list[str]] = []
    admin = Admin(tmp_path / "admin.sock", {"controller1": "DRAIN", "controller2": "MAINT"})
    admin.start()
    real_run = module.subprocess.run
    monkeypatch.setattr(module, "SOCKET", str(tmp_path / "admin.sock"))
    monkeypatch.setattr(module, "write_atomic", lambda path, text, *_: put(path, text))
    monkeypatch.setattr(module.subprocess, "run", lambda words, **_: ran.append(words))
    both = [NAME, "keystone-api/controller2"]
    module.arm(both, both, 20)
    assert module.remembered(both) == both
    (armed,) = [words for words in ran if words[0] == "systemd-run"]
    assert "--on-active=20min" in armed
    real_run([sys.executable, "-c", armed[-1]], check=True)
    assert admin.haproxy.status == {"controller1": "UP", "controller2": "MAINT"}
    assert module.remembered(both) == []


def put(path: Path, text: bytes) -> None:
    """Write a file without asking who its owner is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


@pytest.mark.parametrize(
    ("state", "out", "done"),
    [("drain", [NAME], ["arm"]), ("drain", [], []), ("ready", [NAME], ["ready", "disarm"])],
)
def test_the_timer_stays_only_for_what_was_drained(
    module: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    out: list[str],
    done: list[str],
) -> None:
    seen: list[str] = []
    given = {"servers": [NAME], "state": state, "patience": 1.0, "minutes": 20}
    asked = SimpleNamespace(params=given, exit_json=lambda **_: None)

    def drain(_names: Any, _patience: float, before: Callable[[Any], None]) -> tuple[Any, int]:
        if out:
            before(out)
        return out, 0

    monkeypatch.setattr(module, "AnsibleModule", lambda **_: asked)
    monkeypatch.setattr(module, "servers", dict)
    monkeypatch.setattr(module, "drain", drain)
    monkeypatch.setattr(module, "ready", lambda *_: seen.append("ready"))
    monkeypatch.setattr(module, "arm", lambda *_: seen.append("arm"))
    monkeypatch.setattr(module, "disarm", lambda *_: seen.append("disarm"))
    module.main()
    assert seen == done


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


def test_only_load_balancers_that_drained_are_restored() -> None:
    results = [
        {"item": "controller1", "drained": ["keystone-api/controller1"]},
        {"item": "controller2", "drained": []},
        {"item": "controller3", "failed": True},
    ]
    assert who_drained({"results": results}) == ["controller1"]
    assert who_drained({"skipped": True}) == []
