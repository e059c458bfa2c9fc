"""Servers that are about to restart get no new requests, and always come back."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn_host.service import draining, haproxy_admin

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
        self.path = path
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()

    def run(self) -> None:
        while True:
            client, _ = self.server.accept()
            client.sendall(self.haproxy(client.recv(1000).decode().strip()).encode())
            client.close()


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Commands to systemd, which are only noted; programs and lists are written for any user."""
    ran: list[list[str]] = []

    def note(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(words)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(draining, "run", note)
    monkeypatch.setattr(draining, "PROGRAM", tmp_path / "haproxy_admin.py")
    monkeypatch.setattr(draining, "write_atomic", lambda path, text, *_: put(path, text))
    return ran


def test_it_comes_back_by_itself_when_the_run_dies(
    systemd: list[list[str]], tmp_path: Path
) -> None:
    admin = Admin(tmp_path / "admin.sock", {"controller1": "DRAIN", "controller2": "MAINT"})
    admin.start()
    both = [NAME, "keystone-api/controller2"]
    draining.arm(both, both, 20)
    assert draining.remembered(both) == both
    (armed,) = [words for words in systemd if words[0] == "systemd-run"]
    assert "--on-active=20min" in armed
    python, *rest = armed[4:]
    assert python == "/usr/bin/python3"
    elsewhere = draining.PROGRAM.read_text().replace(haproxy_admin.SOCKET, str(admin.path))
    draining.PROGRAM.write_text(elsewhere)
    subprocess.run([sys.executable, "-I", *rest], check=True)
    assert admin.haproxy.status == {"controller1": "UP", "controller2": "MAINT"}
    assert draining.remembered(both) == []
    admin.haproxy.asked.clear()
    subprocess.run([sys.executable, "-I", *rest], check=True)  # the run restored them meanwhile
    assert admin.haproxy.asked == []


def test_a_timer_that_systemd_refuses_is_explained_and_drains_nothing(
    systemd: list[list[str]], script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    haproxy = HAProxy()

    def refuse(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        failed = words[0] == "systemd-run"
        return subprocess.CompletedProcess(words, int(failed), "", "Failed to start: no bus\n")

    monkeypatch.setattr(draining, "run", refuse)
    monkeypatch.setattr(draining, "running", lambda: True)
    monkeypatch.setattr(draining, "servers", lambda *_: haproxy_admin.servers(haproxy))
    module = script("plugins/modules/cairn_drain.py")
    failures: list[str] = []
    given = {"servers": [NAME], "state": "drain", "patience": 0.05, "minutes": 20}

    def fail(msg: str, **_: Any) -> None:
        failures.append(msg)

    asked = SimpleNamespace(params=given, fail_json=fail, exit_json=lambda **_: None)
    monkeypatch.setattr(module, "AnsibleModule", lambda **_: asked)
    module.main()
    (text,) = failures
    said = ("cairn-undrain-", NAME, "Failed to start: no bus", "journalctl", "run again")
    assert [part for part in said if part not in text] == []
    assert len(text.splitlines()) == 2, "no program"
    assert haproxy.asked == []
    assert draining.remembered([NAME]) == [], "later a drain of somebody else's would be ended"


def test_a_timer_that_failed_does_not_prevent_the_next(systemd: list[list[str]]) -> None:
    """systemd keeps a failed transient unit, and refuses another of its name."""
    draining.arm([NAME], [NAME], 20)
    before = systemd[: [words[0] for words in systemd].index("systemd-run")]
    units = [f"{draining.timer([NAME])}.{kind}" for kind in ("timer", "service")]
    done = [(words[1], words[-1]) for words in before]
    assert done == [(verb, unit) for unit in units for verb in ("stop", "reset-failed")]


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
