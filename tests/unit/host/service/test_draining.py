"""Servers that are about to restart get no new requests, and always come back."""

from __future__ import annotations

import ast
import inspect
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn_host.service import draining

NAME = "keystone-api/controller1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Waits take moments, and what was drained is saved in a temporary folder."""
    monkeypatch.setattr(draining, "PAUSE", 0.01)
    monkeypatch.setattr(draining, "DRAINED", tmp_path / "drained")


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


def test_what_is_under_way_is_waited_for(taken: list[str]) -> None:
    haproxy = HAProxy()
    assert draining.drain([NAME], 5, taken.extend, haproxy) == ([NAME], 0)
    assert haproxy.status["controller1"] == "DRAIN"
    assert taken == [NAME]


def test_connections_left_after_the_time_limit_are_counted(taken: list[str]) -> None:
    haproxy = HAProxy()
    haproxy.busy = [3]
    assert draining.drain([NAME], 0.05, taken.extend, haproxy) == ([NAME], 3)


def test_the_last_that_serves_stays(taken: list[str]) -> None:
    haproxy = HAProxy(controller1="UP", controller2="DOWN", controller3="MAINT")
    assert draining.drain([NAME], 0.05, taken.extend, haproxy) == ([], 0)
    assert haproxy.asked == taken == []


def test_another_that_is_coming_up_is_waited_for(taken: list[str]) -> None:
    haproxy = HAProxy(controller1="UP", controller2="DOWN 1/2")
    looks = []

    def ask(command: str) -> str:
        looks.append(command)
        if len(looks) == 4:
            haproxy.status["controller2"] = "UP 1/3"
        return haproxy(command)

    assert draining.drain([NAME], 5, taken.extend, ask) == ([NAME], 0)


def test_what_haproxy_does_not_know_is_left_out(taken: list[str]) -> None:
    haproxy = HAProxy()
    assert draining.drain(["heat-api/controller1"], 0.05, taken.extend, haproxy) == ([], 0)


def test_it_comes_back() -> None:
    haproxy = HAProxy(controller1="DRAIN", controller2="UP")
    assert draining.ready([NAME], haproxy) == [NAME]
    assert haproxy.status["controller1"] == "UP"


@pytest.mark.parametrize("status", ["DRAIN", "MAINT"])
def test_what_an_operator_took_out_stays_out(taken: list[str], status: str) -> None:
    haproxy = HAProxy(controller1=status, controller2="UP")
    assert draining.drain([NAME], 0.05, taken.extend, haproxy) == ([], 0)
    assert haproxy.asked == taken == []
    assert draining.ready(draining.remembered([NAME]), haproxy) == []
    assert haproxy.status["controller1"] == status


def test_maintenance_that_an_operator_begins_meanwhile_stays() -> None:
    haproxy = HAProxy(controller1="MAINT", controller2="UP")
    assert draining.ready([NAME], haproxy) == []
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
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[list[str]] = []
    admin = Admin(tmp_path / "admin.sock", {"controller1": "DRAIN", "controller2": "MAINT"})
    admin.start()
    real_run = subprocess.run
    monkeypatch.setattr(draining, "SOCKET", str(tmp_path / "admin.sock"))
    monkeypatch.setattr(draining, "write_atomic", lambda path, text, *_: put(path, text))
    monkeypatch.setattr(subprocess, "run", lambda words, **_: ran.append(words))
    both = [NAME, "keystone-api/controller2"]
    draining.arm(both, both, 20)
    assert draining.remembered(both) == both
    (armed,) = [words for words in ran if words[0] == "systemd-run"]
    assert "--on-active=20min" in armed
    real_run([sys.executable, "-c", armed[-1]], check=True)
    assert admin.haproxy.status == {"controller1": "UP", "controller2": "MAINT"}
    assert draining.remembered(both) == []


def put(path: Path, text: bytes) -> None:
    """Write a file without asking who its owner is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


@pytest.mark.parametrize(
    ("state", "out", "done"),
    [("drain", [NAME], ["arm"]), ("drain", [], []), ("ready", [NAME], ["ready", "disarm"])],
)
def test_the_timer_stays_only_for_what_was_drained(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    out: list[str],
    done: list[str],
) -> None:
    module = script("plugins/modules/cairn_drain.py")
    seen: list[str] = []
    given = {"servers": [NAME], "state": state, "patience": 1.0, "minutes": 20}
    asked = SimpleNamespace(params=given, exit_json=lambda **_: None)

    def drain(_names: Any, _patience: float, before: Callable[[Any], None]) -> tuple[Any, int]:
        if out:
            before(out)
        return out, 0

    monkeypatch.setattr(module, "AnsibleModule", lambda **_: asked)
    monkeypatch.setattr(draining, "servers", dict)
    monkeypatch.setattr(draining, "drain", drain)
    monkeypatch.setattr(draining, "ready", lambda *_: seen.append("ready"))
    monkeypatch.setattr(draining, "arm", lambda *_: seen.append("arm"))
    monkeypatch.setattr(draining, "disarm", lambda *_: seen.append("disarm"))
    module.main()
    assert seen == done


def test_what_stands_alone_asks_haproxy_in_the_same_way(root: Path) -> None:
    alone = (root / "roles/loadbalancer/files/keep_state.py").read_text()
    (copy,) = [
        node
        for node in ast.parse(alone).body
        if isinstance(node, ast.FunctionDef) and node.name == "ask"
    ]
    (original,) = ast.parse(inspect.getsource(draining.ask)).body
    assert isinstance(original, ast.FunctionDef)
    assert list(map(ast.unparse, copy.body[1:])) == list(map(ast.unparse, original.body[1:]))
    assert f'SOCKET = "{draining.SOCKET}"' in alone
