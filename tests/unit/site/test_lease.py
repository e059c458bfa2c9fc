"""Two runs at once: the second learns who runs what since when, and touches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from cairn.errors import CairnError
from cairn.preflight.finding import WARNING
from cairn.preflight.inventory import check_lease
from cairn.site import lease

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = ROOT / "playbooks"
# What changes hosts.
CHANGING = (
    *("site.yml", "network.yml", "role.yml", "rollback.yml", "renew.yml", "rotate-keys.yml"),
    "swift-rings.yml",
)


@pytest.fixture
def mine() -> dict[str, Any]:
    """This run: the process of the tests."""
    return lease.holder("playbooks/site.yml", os.getpid())


def test_a_user_without_a_name_is_shown_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any user id: neither passwd nor environment has a name."""

    def unknown() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(lease.getpass, "getuser", unknown)
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert lease.holder("", os.getpid())["user"] == f"user {os.getuid()}"


@pytest.fixture
def host(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The module, with a controller's files in a folder of the test."""
    module = script("plugins/modules/cairn_lease.py")
    monkeypatch.setattr(module.paths, "STATE", tmp_path)
    monkeypatch.setattr(module.paths, "LEASE", tmp_path / "run.json")
    return module


def test_a_run_that_goes_on_is_known(mine: dict[str, Any]) -> None:
    assert not lease.has_ended(mine, {**mine, "token": "another run of this machine"})


def test_a_run_that_was_killed_is_known(mine: dict[str, Any]) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = lease.holder("playbooks/site.yml", process.pid)
    assert not lease.has_ended(other, mine)
    process.kill()
    process.wait()
    assert lease.has_ended(other, mine)


def test_a_process_of_the_same_number_is_another(mine: dict[str, Any]) -> None:
    earlier = {**mine, "token": f"{mine['machine']} {mine['pid']} 1"}
    assert lease.has_ended(earlier, mine)


@pytest.mark.parametrize("place", ["another boot pid:[1]", "{boot} pid:[4026539999]"])
def test_of_another_machine_or_container_nothing_is_known(mine: dict[str, Any], place: str) -> None:
    machine = place.format(boot=mine["machine"].split()[0])
    other = {**mine, "machine": machine, "token": f"{machine} 4194304 1", "pid": 4194304}
    assert not lease.has_ended(other, mine)


def test_one_run_holds_it(host: ModuleType, mine: dict[str, Any]) -> None:
    other = {**mine, "token": "other", "user": "ann"}
    assert host.lease("held", mine, None) == (True, None)
    assert host.lease("held", mine, None) == (True, None), "again in the same run"
    held, found = host.lease("held", other, None)
    assert not held
    assert found["token"] == mine["token"]
    host.lease("free", other, None)
    assert host.read_lease()["token"] == mine["token"], "only its holder gives it up"
    host.lease("free", mine, None)
    assert host.read_lease() is None
    assert host.lease("held", other, None) == (True, None)


def test_a_lease_is_replaced_only_while_the_same_run_holds_it(
    host: ModuleType, mine: dict[str, Any]
) -> None:
    host.lease("held", {**mine, "token": "third"}, None)
    assert host.lease("held", mine, "ended")[0] is False
    assert host.lease("held", mine, "third") == (True, None)


def test_a_damaged_lease_is_nobodys(host: ModuleType, mine: dict[str, Any]) -> None:
    host.paths.LEASE.write_text('{"user"')
    assert host.lease("held", mine, None) == (True, None)


@pytest.fixture
def asked(
    script: Callable[[str], ModuleType], host: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """What the action makes of a controller's lease."""
    module = script("plugins/action/cairn_lease.py")

    def call(_: Any, name: str, arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        held, other = host.lease(**{"replace": None, **arguments})
        return {"held": held, "other": other}

    monkeypatch.setattr(module.ActionModule, "call", call)

    def run(state: str = "held", check: bool = False, **variables: Any) -> dict[str, Any]:
        action = object.__new__(module.ActionModule)
        action._task = SimpleNamespace(args={"state": state}, check_mode=check)
        found: dict[str, Any] = action.work(variables)
        return found

    return run


def test_the_second_run_learns_who_runs_what(
    asked: Callable[..., dict[str, Any]], host: ModuleType, mine: dict[str, Any]
) -> None:
    other = {**mine, "machine": "deploy2's", "token": "deploy2's 7 1", "user": "ann"}
    host.lease("held", other, None)
    with pytest.raises(CairnError, match=r"ann on .* has been running playbooks/site\.yml since"):
        asked()
    assert host.read_lease()["user"] == "ann"
    assert asked(check=True) == {"changed": False, "held": False}
    assert asked(cairn_take_over="true")["held"]


def test_a_dead_run_of_this_machine_is_followed_without_asking(
    asked: Callable[..., dict[str, Any]], host: ModuleType, mine: dict[str, Any]
) -> None:
    host.lease("held", {**mine, "token": f"{mine['machine']} {mine['pid']} 1"}, None)
    assert asked()["held"]
    assert asked("free") == {"changed": False, "held": False}
    assert host.read_lease() is None


def test_preflight_tells_of_it_at_once() -> None:
    """An unchanged run may go on: it is refused only when it has something to change."""
    assert check_lease({}) == []
    held = {"user": "ann", "host": "deploy1", "playbook": "site.yml", "since": "…", "pid": 7}
    (found,) = check_lease({"c1": held})
    assert found.text.startswith("ann on deploy1 has been running site.yml since …")
    assert (found.severity, found.host) == (WARNING, "c1")
    assert "cairn_take_over" in found.remedy


@pytest.mark.parametrize("name", CHANGING)
def test_whatever_changes_hosts_takes_the_lease_first_and_gives_it_up_last(name: str) -> None:
    plays = yaml.safe_load((PLAYBOOKS / name).read_text())
    taking = [
        task.get("ansible.builtin.import_tasks")
        for play in plays[:2]
        for task in play.get("tasks", [])
    ]
    assert "tasks/lease.yml" in taking
    assert plays[-1]["ansible.builtin.import_playbook"] == "internal/release-lease.yml"
