"""A rollback: refused where the schema has no way back, else host by host as long as it works."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from cairn.service.model import contract_record, migration_record
from cairn.service.rollback import rollback_obstacle, rollback_targets

ROOT = Path(__file__).resolve().parents[3]
CONTROLLERS = ["c1", "c2"]


@pytest.fixture
def obstacle() -> Callable[..., str]:
    """Ask whether keystone may go back on hosts that say this of themselves."""

    def ask(**states: dict[str, Any] | None) -> str:
        hostvars = {name: {"cairn_host": s} if s else {} for name, s in states.items()}
        return str(rollback_obstacle(hostvars, "keystone", CONTROLLERS))

    return ask


def state(release: str, before: str | None, **records: str) -> dict[str, Any]:
    """What a host says of keystone, and its records."""
    known = {"release": release, "previous_release": before}
    return {"services": {"keystone": known}, "records": records}


CONTRACTED, AFTER = contract_record("keystone"), migration_record("keystone", "after")


def test_a_change_within_a_release_goes_back_whatever_was_migrated(obstacle: Any) -> None:
    same = state("2026.1", "2026.1")
    assert obstacle(c1=same, c2=state("2026.1", "2026.1", **{CONTRACTED: "2026.1"})) == ""


def test_an_upgrade_goes_back_as_long_as_nothing_was_contracted(obstacle: Any) -> None:
    upgraded = state("2026.2", "2026.1", **{CONTRACTED: "2026.1"})
    assert obstacle(c1=state("2026.2", "2026.1"), c2=upgraded) == ""


@pytest.mark.parametrize("record", [{CONTRACTED: "2026.2"}, {AFTER: "of an older Cairn's"}])
def test_older_code_does_not_get_a_schema_that_newer_code_has_contracted(
    obstacle: Any, record: dict[str, str]
) -> None:
    text = obstacle(c1=state("2026.2", "2026.1"), c2=state("2026.2", "2026.1", **record))
    assert text.startswith("keystone cannot go back from 2026.2 to 2026.1 on c1: ")
    assert "c2" in text and "backup" in text


def test_a_controller_that_does_not_answer_may_know_more(obstacle: Any) -> None:
    text = obstacle(c1=state("2026.2", "2026.1"), c2=None)
    assert "c2 did not answer" in text
    assert obstacle(c1=state("2026.1", "2026.1"), c2=None) == ""


# --- where each host goes ---


def test_a_rollback_that_failed_half_way_is_finished_by_the_next() -> None:
    def ask(**rolled_back: bool | None) -> Any:
        hosts: dict[str, Any] = {"silent": {}, "other": {"cairn_host": {"services": {}}}}
        for name, back in rolled_back.items():
            known = {"current": "a" if back else "b", "previous": "b" if back else "a"}
            hosts[name] = {"cairn_host": {"services": {"nova": {**known, "rolled_back": back}}}}
        return rollback_targets(hosts, "nova")

    assert ask(c1=False, c2=False) == {"c1": "a", "c2": "a"}
    assert ask(c1=True, c2=False) == {"c1": "a", "c2": "a"}, "c1 must not go forward again"
    assert ask(c1=True, c2=True) == {"c1": "b", "c2": "b"}
    first = {"current": "a", "previous": None, "rolled_back": False}
    assert rollback_targets({"c1": {"cairn_host": {"services": {"nova": first}}}}, "nova") == {}


def test_each_host_gets_its_own_generation(
    ansible_playbook: Callable[..., Any], tmp_path: Path
) -> None:
    """The playbook's own tasks, on hosts of which one is back and one has nothing to go back to."""
    first, *_ = yaml.safe_load((ROOT / "playbooks/rollback.yml").read_text())
    known = {
        "controller1": {"current": "a", "previous": "b", "rolled_back": True},
        "controller2": {"current": "d", "previous": "c", "rolled_back": False},
        "compute1": {"current": "e", "previous": None, "rolled_back": False},
    }
    hosts = {name: {"cairn_host": {"services": {"nova": one}}} for name, one in known.items()}
    tasks = first["tasks"][
        [task.get("register") for task in first["tasks"]].index("cairn_host") + 1 :
    ]
    shown = "{{ inventory_hostname }} {{ rollback_targets[inventory_hostname] | default('-') }};"
    groups = "{{ groups.rollback_yes | join(' ') }}, {{ groups.rollback_no | join(' ') }}"
    tasks += [{"ansible.builtin.debug": {"msg": f"{shown} {groups}"}}]
    (tmp_path / "plays.yml").write_text(
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}], sort_keys=False)
    )
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    words = ("-i", "hosts.yml", "plays.yml", "-e", "service=nova")
    done = ansible_playbook(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.findall(r"msg: '?(\S+ \S+;) (.*?)'?\n", done.stdout)
    targets = sorted(target for target, _ in said)
    assert targets == ["compute1 -;", "controller1 a;", "controller2 c;"]
    assert {both for _, both in said} == {"controller1 controller2, compute1"}


# --- contract waits -------------------------------------------------------------------------------


@pytest.fixture
def finish(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the action cairn_migrate after a switch; its result and what the host is called with."""
    action_class = script("plugins/action/cairn_migrate.py").ActionModule
    steps = [{"name": "contract", "phase": "after", "command": "x"}]
    manifest = {"id": "b", "release": "2026.2", "venv": None, "migrations": steps}
    model = SimpleNamespace(manifest=lambda _: manifest, part=lambda *_: [])

    def run(check: bool = False, contract: Any = None, **known: Any) -> tuple[Any, list[Any]]:
        sent: list[Any] = []
        action = object.__new__(action_class)
        arguments = {"service": "keystone", "phase": "after"}
        action._task = SimpleNamespace(args=arguments, check_mode=check)
        action._templar = SimpleNamespace(template=lambda value: value)
        monkeypatch.setattr(action, "model", lambda *_: model)
        monkeypatch.setattr(action, "remember", lambda *_, **news: sent.append(news))
        monkeypatch.setattr(
            action, "call", lambda _, given, __: sent.append(given) or {"changed": True}
        )
        variables = {"cairn_host": {"services": {}, **known}}
        asked = {} if contract is None else {"contract": contract}
        return action.work({**variables, **asked}), sent

    return run


@pytest.mark.parametrize("check", [True, False])
def test_the_run_that_upgrades_does_not_contract_unasked(finish: Any, check: bool) -> None:
    done, sent = finish(check=check, upgraded=["keystone"])
    assert (done["changed"], sent) == (False, [])
    (warning,) = done["warnings"]
    assert "contract" in warning and "-e contract=true" in warning


@pytest.mark.parametrize(
    "how",
    [
        {"upgraded": ["keystone"], "contract": "true"},
        {"upgraded": ["glance"]},
        {},
    ],
    ids=["asked for", "another service was upgraded", "first deployment, or the next run"],
)
def test_otherwise_the_schema_is_finished_and_its_release_recorded(
    finish: Any, how: dict[str, Any]
) -> None:
    done, (given, news) = finish(**how)
    assert done["changed"]
    assert given["release"] == "2026.2"
    assert news["records"][CONTRACTED] == "2026.2"


# --- host by host ---------------------------------------------------------------------------------

GROUPS = {
    "controller": ["controller1", "controller2"],
    "network": ["network1"],
    "compute": ["compute1", "compute2", "compute3"],
    "storage": ["storage1", "storage2", "storage3"],
}


@pytest.fixture
def turns(stand_ins: Callable[..., Any]) -> Callable[..., list[list[str]]]:
    """Run rollback.yml's switching plays with work that only fails or does not; hosts by turn."""
    plays = [
        p for p in yaml.safe_load((ROOT / "playbooks/rollback.yml").read_text()) if "serial" in p
    ]
    everyone = [host for hosts in GROUPS.values() for host in hosts]

    def run(service: str, broken: list[str]) -> list[list[str]]:
        fails = {play["name"]: broken for play in plays}
        groups = {**GROUPS, "rollback_yes": everyone[::-1]}
        _, found = stand_ins(plays, groups, fails, service=service)
        return [turn.hosts for turn in found if turn.hosts]

    return run


def test_storage_hosts_give_objects_back_one_by_one(turns: Any) -> None:
    assert turns("swift", []) == [[host] for hosts in GROUPS.values() for host in hosts]


def test_other_hosts_go_back_after_the_first_of_them(turns: Any) -> None:
    found = turns("nova", [])
    others = [host for group in ("network", "compute", "storage") for host in GROUPS[group]]
    assert found == [["controller1"], ["controller2"], others[:1], sorted(others[1:])]


@pytest.mark.parametrize("broken", ["controller1", "network1", "storage1"])
def test_nobody_else_goes_back_where_one_fails(turns: Any, broken: str) -> None:
    assert turns("swift", [broken])[-1] == [broken]
