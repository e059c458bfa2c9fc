"""The action cairn_rings: whose builders count, who gets what, and when no host is asked at all."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn.errors import CairnError
from cairn.service.manifest import digest
from cairn_host.wire import encode, unpack

WANTED = {
    "object": {
        "part_power": 8,
        "replicas": 3,
        "min_part_hours": 24,
        "least": 1,
        "devices": [
            {"host": f"s{n}", "disk": "d1", "region": 1, "zone": 1, "ip": f"198.51.100.{n}",
             "port": 6200, "weight": 100.0}
            for n in (1, 2, 3)
        ],
    }
}  # fmt: skip
BARE: dict[str, Any] = {"services": {}, "records": {}}
DEPLOYED = {"services": {"swift": {"current": "a"}}, "records": {}}


def builder(version: int) -> dict[str, Any]:
    """A builder as a host tells of it."""
    return {"version": version, "content": encode(pickle.dumps({"version": version}, 2))}


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("plugins/action/cairn_rings.py")


@pytest.fixture
def run(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the action as on one host; `calls` are what would have been asked of it."""
    calls: list[dict[str, Any]] = []

    def call(self: Any, name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        payload = unpack(arguments["payload"]) if "payload" in arguments else None
        calls.append({**arguments, "payload": payload})
        return {"changed": True, "rings": {"object": {"lines": ["moved"]}}}

    model = SimpleNamespace(
        me={"groups": ["controller"]},
        part=lambda *_: {"swift-rings": "wanted"},
        manifest=lambda _: {"venv": {"name": "swift-1"}},
    )
    monkeypatch.setattr(module.ActionModule, "call", call)
    monkeypatch.setattr(module.ActionModule, "model", lambda *_: model)
    monkeypatch.setattr(module.ActionModule, "remember", lambda *_, **__: None)

    def work(
        state: str, host: dict[str, Any], check: bool = False, groups: str = "", **arguments: Any
    ) -> dict[str, Any]:
        action = object.__new__(module.ActionModule)
        arguments = {"state": state, "rings": WANTED, "keep": str(tmp_path / "kept"), **arguments}
        action._task = SimpleNamespace(args=arguments, check_mode=check)
        model.me["groups"] = [groups or "controller"]
        done: dict[str, Any] = action.work({"cairn_host": host, "inventory_hostname": "h"})
        return done

    return SimpleNamespace(work=work, calls=calls, kept=tmp_path / "kept")


# --- made ---------------------------------------------------------------------------------------


def test_new_rings_are_made_of_the_newest_builders(run: Any) -> None:
    known = {"c1": {"builders": {"object": builder(3)}}, "c2": {"builders": {"object": builder(5)}}}
    done = run.work("made", DEPLOYED, known=known, lost=["s9"], share=25)
    (call,) = run.calls
    assert call["payload"]["builders"] == {"object": builder(5)["content"]}
    assert call["payload"]["circumstances"] == {
        "lost": ["s9"], "share": 25.0, "holding": {"object": {}},
    }  # fmt: skip
    assert call["payload"]["venv"].endswith("/services/swift/current/venv")
    assert done["lines"] == ["object: moved"]


def test_the_operators_copy_counts_when_no_controller_has_one(run: Any) -> None:
    run.kept.mkdir()
    (run.kept / "object.builder").write_bytes(pickle.dumps({"version": 5}, 2))
    known = {"c1": {"builders": {}}, "s1": {"rings": {"object": 5}}}
    run.work("made", DEPLOYED, known=known)
    assert run.calls[0]["payload"]["builders"] == {"object": builder(5)["content"]}


def test_rings_in_use_are_never_created_again(run: Any) -> None:
    known = {"c1": {"builders": {}}, "s1": {"rings": {"object": 5}}}
    with pytest.raises(CairnError, match="s1 has ring object of version 5, and no controller"):
        run.work("made", DEPLOYED, known=known)
    assert run.calls == []


def test_an_old_copy_does_not_replace_newer_rings(run: Any) -> None:
    known = {"c1": {"builders": {"object": builder(4)}}, "s1": {"rings": {"object": 5}}}
    with pytest.raises(CairnError, match="newest builder is of version 4"):
        run.work("made", DEPLOYED, known=known)


def test_a_bare_site_gets_a_plan_and_its_rings_later(run: Any) -> None:
    done = run.work("made", BARE, known={})
    assert done["later"]
    assert done["lines"][0].startswith("object: new: 2^8 partitions, 3 copies")
    assert run.calls == []


def test_a_bare_site_with_too_few_disks_is_refused(run: Any) -> None:
    few = {"object": {**WANTED["object"], "devices": WANTED["object"]["devices"][:2]}}  # type: ignore[index]
    with pytest.raises(CairnError, match="3 copies need 3 disks"):
        run.work("made", BARE, known={}, rings=few)


def test_staged_code_is_good_enough_for_the_first_rings(run: Any) -> None:
    done = run.work("made", {"venvs": ["swift-1"]}, known={})
    assert not done["later"]
    assert run.calls[0]["payload"]["venv"] == "/opt/cairn/venvs/swift-1"


# --- given --------------------------------------------------------------------------------------


def made(version: int, due: str = "") -> dict[str, Any]:
    ring = {"version": version, "builder": builder(version)["content"], "ring": "cg==", "due": due}
    return {"rings": {"object": ring}}


RECORDS = {"swift-rings": digest("wanted"), "due-swift": ""}


def test_a_controller_gets_builders_and_a_storage_host_rings_only(run: Any) -> None:
    for groups, builders in (("controller", ["object"]), ("storage", [])):
        run.calls.clear()
        run.work("given", DEPLOYED, known={}, made=made(5), groups=groups)
        (call,) = run.calls
        assert list(call["payload"]["builders"]) == builders
        assert list(call["payload"]["rings"]) == ["object"]


def test_a_host_that_has_everything_is_not_asked(run: Any) -> None:
    host = {**DEPLOYED, "records": RECORDS}
    known = {"h": {"rings": {"object": 5}, "builders": {"object": builder(5)}}}
    assert run.work("given", host, known=known, made=made(5)) == {"changed": False}
    assert run.calls == []


def test_what_is_to_follow_is_recorded_with_its_time(run: Any) -> None:
    run.work("given", DEPLOYED, known={}, made=made(5, due="2030-01-01T00:00:00Z"))
    assert run.calls[0]["payload"]["records"] == {
        **RECORDS, "due-swift": "2030-01-01T00:00:00Z",
    }  # fmt: skip


def test_a_plan_hands_out_nothing(run: Any) -> None:
    assert run.work("given", DEPLOYED, check=True, known={}, made=made(5))["changed"]
    assert run.calls == []
    assert not run.kept.exists()


def test_the_operators_machine_keeps_every_builder(run: Any) -> None:
    run.work("given", DEPLOYED, known={}, made=made(5))
    run.work("given", DEPLOYED, known={}, made=made(6))
    assert encode((run.kept / "object.builder").read_bytes()) == builder(6)["content"]
    (old,) = (run.kept / "backups").iterdir()
    assert old.name.startswith("object-5-")
    assert (run.kept / "object.builder").stat().st_mode & 0o777 == 0o600
