"""What all services declare in one system: one call, and none when it is as recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cairn.actions.declaring import DeclaringAction
from cairn.service.manifest import digest
from cairn_host import errors, paths, reconcile
from cairn_host.database import grants
from cairn_host.messaging import definitions

WANTED = {"things": ["a"]}


class Action(DeclaringAction):
    """An action on a host that is one dict."""

    RECORD, SERVICE = "things", "store"

    def __init__(self, check: bool = False, wanted: dict[str, Any] = WANTED, **host: Any) -> None:
        self._task = type("Task", (), {"check_mode": check, "action": "cairn_things"})()
        self.host, self.wanted = host, wanted
        self.calls: list[tuple[str, Any]] = []

    def model(self, task_vars: Any, host: str | None = None) -> Any:
        return None

    def host_state(self, task_vars: Any) -> dict[str, Any]:
        return self.host

    def remember(self, task_vars: Any, **news: Any) -> None:
        self.host |= news

    def call(self, module: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        self.calls.append((module, arguments))
        return {"changed": True, "changes": ["a: make"]}

    def declared(self, model: Any) -> dict[str, Any]:
        return self.wanted

    def planned(self, declared: dict[str, Any]) -> list[str]:
        return [f"{thing}: plan" for thing in declared["things"]]


def test_it_is_declared_in_one_call_and_remembered():
    action = Action(records={"other": "1"})
    assert action.work({})["changes"] == ["a: make"]
    assert action.calls == [("cairn_things", {**WANTED, "record": digest(WANTED)})]
    assert action.host["records"] == {"other": "1", "things": digest(WANTED)}
    assert action.work({}) == {"changed": False, "changes": []}
    assert len(action.calls) == 1


def test_nothing_declared_costs_nothing():
    action = Action(wanted={})
    assert action.work({}) == {"changed": False, "changes": []}
    assert action.calls == []


def test_a_plan_asks_the_system_where_it_runs_and_remembers_nothing():
    action = Action(check=True, services={"store": {"current": "abc"}})
    assert action.work({})["changes"] == ["a: make"]
    assert "records" not in action.host


def test_a_plan_for_a_bare_host_asks_nobody():
    action = Action(check=True, services={"store": {"current": None}})
    assert action.work({}) == {"changed": True, "changes": ["a: plan"]}
    assert action.calls == []


class EndedError(Exception):
    """The module has ended."""


class Module:
    """AnsibleModule, as far as the frame knows it."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self.params, self.check_mode = {"record": "hash", **params}, check_mode
        self.result: dict[str, Any] = {}

    def exit_json(self, **result: Any) -> None:
        self.result = result

    def fail_json(self, **result: Any) -> None:
        self.result = {"failed": True, **result}
        raise EndedError


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    return tmp_path / "things"


def test_success_is_noted(record):
    module = Module(things=["a"])
    reconcile.keep(module, "things", lambda asked, _check: [f"{asked['things']}: make"])
    assert module.result == {"changed": True, "changes": ["['a']: make"]}
    assert record.read_text() == "hash"


@pytest.mark.parametrize("how", [{"check_mode": True}, {"record": None}])
def test_nothing_is_noted_in_check_mode_or_unasked(record, how):
    module = Module(**how)
    reconcile.keep(module, "things", lambda _asked, _check: [])
    assert module.result == {"changed": False, "changes": []}
    assert not record.exists()


@pytest.mark.parametrize(
    "error",
    [errors.HostError("x"), OSError("x"), ValueError("x"), subprocess.TimeoutExpired("x", 1)],
)
def test_a_failure_is_the_modules_and_leaves_no_record(record, error):
    def work(_asked: Any, _check: bool) -> list[str]:
        raise error

    module = Module()
    with pytest.raises(EndedError):
        reconcile.keep(module, "things", work)
    assert module.result["msg"] == str(error)
    assert not record.exists()


ENTRY = {"name": "nova", "user": "nova", "vhost": "/nova", "password": "x", "hosts": ["%"]}
MODULES = {
    "cairn_databases": ({"databases": [ENTRY]}, "sql", grants, {"read": lambda _: (set(), {})}),
    "cairn_queues": (
        *({"queues": [ENTRY], "ask": ["rabbitmqctl"]}, "apply", definitions),
        {"export": lambda _: {}},
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_only_tell_in_check_mode(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, record: Path, name: str
) -> None:
    params, writes, home, reads = MODULES[name]
    module = script(f"plugins/modules/{name}.py")
    done: list[Any] = []
    for what, stands_in in {**reads, writes: lambda *said: done.append(said)}.items():
        monkeypatch.setattr(home, what, stands_in)
    for check_mode in (True, False):
        asked = Module(check_mode, **params)
        monkeypatch.setattr(module, "AnsibleModule", lambda asked=asked, **_: asked)
        module.main()
        assert asked.result["changed"] and asked.result["changes"]
        assert len(done) == (0 if check_mode else 1)
