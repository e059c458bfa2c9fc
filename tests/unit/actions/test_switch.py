"""The action cairn_switch asks a host where something is due, in a plan what it would do."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn_host.wire import unpack

WANTED = {"id": "new", "release": "2026.1", "units": []}
DONE = {"changed": True, "from": "old", "to": "new", "restarted": ["a.service"]}


class Host:
    """Remembers what it was asked and what the run keeps of it."""

    def __init__(self, action_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.action_class = action_class
        self.asked: list[dict[str, Any]] = []
        self.kept: dict[str, Any] = {}
        model = SimpleNamespace(manifest=lambda _: WANTED)
        monkeypatch.setattr(action_class, "model", lambda *_: model)
        monkeypatch.setattr(action_class, "call", self.call)

    def call(self, _module: str, arguments: dict[str, Any], _vars: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        return dict(DONE)

    def keep(self, variables: dict[str, Any]) -> None:
        self.kept = variables["cairn_host"]

    def run(self, known: dict[str, Any], check: bool = False, **arguments: Any) -> dict[str, Any]:
        action = object.__new__(self.action_class)
        action._task = SimpleNamespace(
            args={"service": "svc", **arguments}, check_mode=check, diff=False
        )
        action.register_host_variables = self.keep
        done: dict[str, Any] = action.work({"inventory_hostname": "h", "cairn_host": known})
        return done


@pytest.fixture
def host(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host, and the action that asks it."""
    return Host(script("plugins/action/cairn_switch.py").ActionModule, monkeypatch)


def running(ident: str, *drift: str) -> dict[str, Any]:
    """What a host says that runs this generation."""
    why = [{"kind": "file", "what": what, "text": what} for what in drift]
    return {"services": {"svc": {"current": ident, "release": "2026.1", "drift": why}}}


@pytest.mark.parametrize("check", [True, False])
def test_a_host_that_lacks_nothing_is_not_asked(host: Host, check: bool) -> None:
    done = host.run(running("new"), check)
    assert host.asked == []
    assert done == {
        "changed": False,
        **{key: [] for key in ("restarted", "reloaded", "stopped", "removed", "mended")},
    }


@pytest.mark.parametrize(
    "known", [{"services": {}}, running("old"), running("new", "/etc/x was changed")]
)
def test_a_plan_is_what_the_host_says_of_the_manifest_that_it_will_get(
    host: Host, known: dict[str, Any]
) -> None:
    assert host.run(known, check=True) == DONE
    (asked,) = host.asked
    assert unpack(asked.pop("manifest")) == WANTED
    assert asked == {"service": "svc", "generation": "new", "rollback": False}


def test_the_plan_of_a_rollback_is_the_hosts_too(host: Host) -> None:
    assert host.run(running("new"), check=True, generation="old") == DONE
    assert host.asked == [{"service": "svc", "generation": "old", "rollback": True}]


def test_a_plan_tells_a_service_once(host: Host) -> None:
    host.run(running("old"), check=True)
    assert host.kept["services"]["svc"]["current"] == "old", "nothing was switched"
    assert not host.run(host.kept, check=True)["changed"]
    assert len(host.asked) == 1


@pytest.mark.parametrize(("release", "upgraded"), [("2025.2", ["svc"]), ("2026.1", None)])
@pytest.mark.parametrize("check", [True, False])
def test_the_run_knows_which_services_it_took_to_another_release(
    host: Host, release: str, upgraded: list[str] | None, check: bool
) -> None:
    known = running("old")
    known["services"]["svc"]["release"] = release
    host.run(known, check)
    assert host.kept.get("upgraded") == upgraded


def test_a_first_deployment_is_no_upgrade(host: Host) -> None:
    host.run({"services": {}})
    assert "upgraded" not in host.kept
