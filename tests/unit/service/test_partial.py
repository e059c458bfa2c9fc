"""A run over a part of the site finishes what it begins, or says what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import Templar, trust_as_template

from cairn.preflight.finding import ERROR, WARNING
from cairn.preflight.partial import Member, judge, member
from cairn.service.model import Model, migration_record, migration_value

SITE = {
    "c1": ["controller"],
    "c2": ["controller"],
    "c3": ["controller"],
    "n1": ["compute"],
    "n2": ["compute"],
    "s1": ["storage"],
    "s2": ["storage"],
}
SERVICES = ["swift"]


def run(*names: str, **special: Member) -> dict[str, Member]:
    """The hosts of a run: idle ones, and those of which more is said."""
    return {name: special.get(name, Member(SITE[name])) for name in (*names, *special)}


def severities(hosts: dict[str, Member]) -> list[tuple[str, str]]:
    return [(one.host, one.severity) for one in judge(SITE, hosts, SERVICES)]


@pytest.mark.parametrize(
    "what", [{"first": ["nova"]}, {"moves": ["nova"]}, {"changes": ["nova"]}], ids=str
)
def test_a_whole_run_may_do_anything(what: dict[str, Any]) -> None:
    assert severities({name: Member(groups, **what) for name, groups in SITE.items()}) == []


def test_hosts_that_only_change_their_settings_may_go_alone() -> None:
    assert severities(run(n1=Member(["compute"], changes=["nova"]))) == []
    assert severities(run(c1=Member(["controller"], changes=["nova"]))) == []
    assert severities(run(c1=Member(["controller"], changes=["nova"]), c2=Member([]))) == []


def test_without_the_first_controller_the_others_do_not_change() -> None:
    """It changes the passwords that they would use."""
    assert severities(run("c3", c2=Member(["controller"], changes=["nova"]))) == [("c2", ERROR)]
    assert severities(run("c2", "c3")) == []


@pytest.mark.parametrize("host", ["c1", "c2", "c3", "n1"])
def test_new_code_needs_all_controllers(host: str) -> None:
    new = Member(SITE[host], moves=["nova"], changes=["nova"])
    others = [c for c in ("c1", "c2") if c != host]
    assert (host, ERROR) in severities(run(*others, **{host: new}))[:1] or host == "c3"
    everyone = [c for c in ("c1", "c2", "c3") if c != host]
    assert severities(run(*everyone, **{host: new})) == []


def test_what_new_code_lacks_is_named() -> None:
    (found,) = judge(SITE, run("c2", c1=Member(["controller"], moves=["nova", "glance"])), SERVICES)
    assert found.text == (
        "nova, glance would get other code or another schema, but c3 is left out of this run"
    )
    assert "--limit 'c1,controller'" in found.remedy


def test_a_new_compute_host_needs_the_controllers() -> None:
    new = Member(["compute"], first=["base", "nova"])
    (found,) = judge(SITE, run(n2=new), SERVICES)
    assert found.severity == ERROR
    assert "c1, c2, c3, which must register it, are left out" in found.text


def test_a_new_host_with_all_controllers_is_finished_and_says_who_does_not_know_it() -> None:
    new = Member(["compute"], first=["base", "nova"])
    (found,) = judge(SITE, run("c1", "c2", "c3", n2=new), SERVICES)
    assert found.severity == WARNING
    assert found.text == "is new, and n1, s1, s2 do not learn its name in this run"


def test_new_storage_needs_all_that_get_its_rings() -> None:
    new = Member(["storage"], first=["base", "swift"])
    controllers = ("c1", "c2", "c3")
    assert severities(run(*controllers, s2=new)) == [("s2", ERROR)]
    assert severities(run(*controllers, "s1", s2=new)) == [("s2", WARNING)]
    only_volumes = Member(["storage"], first=["base", "cinder"])
    assert severities(run(*controllers, s2=only_volumes)) == [("s2", WARNING)]


@pytest.mark.parametrize("host", ["s1", "c2"])
def test_other_rings_need_the_controller_that_computes_them(host: str) -> None:
    """Swift's other settings do not: a storage host alone may get them."""
    other = Member(SITE[host], rings=True)
    (found,) = judge(SITE, run("c3", "s2", **{host: other}), SERVICES)
    assert (found.host, found.severity) == (host, ERROR)
    assert "the rings of swift would change, but c1, which computes them" in found.text
    assert severities(run("c1", **{host: other})) == []
    assert severities(run(s1=Member(["storage"], changes=["swift"]))) == []


# --- what a run would do to a host -----------------------------------------------------------


def state(model: Model, **changes: Any) -> dict[str, Any]:
    """A host that is as it should be, but for the changes to its one service."""
    wanted = model.manifest("example")
    assert wanted is not None
    known = {"current": wanted["id"], "venv": wanted["venv"]["name"], **changes}
    records = {
        migration_record("example", step["phase"]): migration_value(wanted)
        for step in wanted["migrations"]
    }
    return {"services": {"example": known}, "records": records}


def test_a_new_host_differs_from_one_that_changes(make_model: Callable[..., Model]) -> None:
    model = make_model("c1")
    assert member(model, {}, ["example"]).first == ["example"]
    assert member(model, state(model), ["example"]) == Member(["controller"])
    changed = member(model, state(model, current="before"), ["example"])
    assert changed == Member(["controller"], changes=["example"])


def test_new_code_differs_from_other_settings(make_model: Callable[..., Model]) -> None:
    model = make_model("c2")
    older = state(model, current="before", venv="example-0")
    assert member(model, older, ["example"]).moves == ["example"]


@pytest.mark.parametrize(("host", "phase"), [("c1", "before"), ("c2", "after")])
def test_a_schema_that_is_due_counts_as_new_code(
    make_model: Callable[..., Model], host: str, phase: str
) -> None:
    model = make_model(host)
    due = state(model)
    del due["records"][migration_record("example", phase)]
    assert member(model, due, ["example"]).moves == ["example"]


def test_rings_are_left_alone_where_nobody_computed_them(root: Path) -> None:
    """The tasks of a storage host in a run without the first controller."""
    controller: dict[str, Any] = {"inventory_hostname": "c1"}
    variables = {
        "hostvars": {"c1": controller},
        "cairn_site": {"groups": {"controller": ["c1"]}},
        "ansible_check_mode": False,
    }
    tasks = yaml.safe_load((root / "roles/swift/tasks/rings.yml").read_text())

    def due() -> list[bool]:
        templar = Templar(variables=variables)
        return [
            all(
                templar.evaluate_conditional(trust_as_template(text))
                for text in ([task["when"]] if isinstance(task["when"], str) else task["when"])
            )
            for task in tasks
        ]

    assert due() == [False, False]
    controller["__swift_made"] = {"later": True}
    assert due() == [True, False]
    controller["__swift_made"] = {"later": False, "rings": {}}
    assert due() == [False, True]
