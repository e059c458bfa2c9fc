"""The summary of a run: exact, complete, and short where nothing happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn import report as reports
from cairn.service import registry

from .conftest import Clock


@pytest.fixture
def run(clock: Clock) -> reports.Run:
    run = reports.Run(clock)
    run.playbook = "site.yml"
    return run


def text(run: reports.Run, recap: dict[str, dict[str, int]] | None = None) -> str:
    return "\n".join(reports.lines(run.report(recap or {}), {}))


def test_each_play_is_timed(run: reports.Run, clock: Clock) -> None:
    run.play("stage")
    clock.now = 65.0
    run.play("switch")
    clock.now = 70.5
    run.end_play()
    report = run.report({})
    assert report["seconds"] == 70.5
    assert report["plays"] == [
        {"name": "stage", "seconds": 65.0},
        {"name": "switch", "seconds": 5.5},
    ]
    assert "1 min 05 s  stage" in text(run)


def test_a_change_is_reported_with_what_it_changed(run: reports.Run) -> None:
    run.result("controller1", "copy", "Write it", {"changed": True, "dest": "/etc/hosts"})
    run.result("controller1", "cairn_stage", "Stage", {"changed": True, "staged": {"glance": []}})
    run.result("controller1", "debug", "Say", {"changed": False})
    assert run.host("controller1").changed == ["Write it: /etc/hosts", "Stage: glance"]


def test_only_the_changed_items_of_a_loop_count(run: reports.Run) -> None:
    results = [{"changed": True, "path": "/a"}, {"changed": False, "path": "/b"}]
    run.result("compute1", "file", "Make", {"changed": True, "results": results})
    assert run.host("compute1").changed == ["Make: /a"]


def test_a_switch_tells_generations_and_restarts(run: reports.Run) -> None:
    result = {"changed": True, "from": "a1", "to": "b2", "restarted": ["glance-api"]}
    run.result("controller1", "cairn_switch", "glance : Switch", result)
    shown = text(run)
    assert "generation of glance : Switch: a1 → b2" in shown
    assert "restarted: glance-api" in shown


SWITCHED: dict[str, Any] = {
    "changed": True,
    "service": "svc",
    "from": "a1",
    "to": "b2",
    "restarted": ["api.service"],
    "reloaded": ["haproxy.service"],
    "stopped": ["rpcbind.service"],
    "removed": ["unit old.service", "file /etc/old"],
    "mended": ["/etc/svc/svc.conf"],
}


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (False, ["restarted", "reloaded", "stopped", "removed", "mended"]),
        (True, ["would restart", "would reload", "would stop", "would remove", "would mend"]),
    ],
)
def test_plan_and_run_tell_the_same_of_units_and_files(
    run: reports.Run, check: bool, words: list[str]
) -> None:
    run.check = check
    run.result("controller1", "cairn_switch", "Switch", SWITCHED)
    shown = text(run)
    for word, key in zip(words, reports.ACTIONS, strict=True):
        assert f"{word}: {', '.join(SWITCHED[key])}" in shown
        assert run.report({})["hosts"]["controller1"][key] == SWITCHED[key]


def report_of(*results: dict[str, Any], host: str = "controller1") -> dict[str, Any]:
    """The report of a run in which a host had these results."""
    run = reports.Run()
    for result in results:
        run.result(host, "cairn_switch", "Switch", result)
    run.host(host).remote_calls = len(results)
    return run.report({})


def test_a_plan_that_says_what_the_run_did_has_no_differences() -> None:
    other = {**SWITCHED, "service": "more", "restarted": ["z.service"], "mended": []}
    assert reports.plan_differences(report_of(SWITCHED, other), report_of(other, SWITCHED)) == []
    quiet = {"changed": False, **{key: [] for key in reports.ACTIONS}}
    assert reports.plan_differences(report_of(), report_of(quiet)) == []


@pytest.mark.parametrize("key", reports.ACTIONS)
def test_what_only_plan_or_run_says_is_a_difference(key: str) -> None:
    plan, run = report_of(SWITCHED), report_of({**SWITCHED, key: ["other"]})
    found = reports.plan_differences(plan, run)
    assert f"controller1: {key} only in the run: other" in found
    assert f"controller1: {key} only in the plan: {SWITCHED[key][0]}" in found
    # Twice is not once, either.
    twice = report_of({**SWITCHED, key: 2 * SWITCHED[key][:1]})
    assert reports.plan_differences(report_of({**SWITCHED, key: SWITCHED[key][:1]}), twice)


def test_other_changes_hosts_and_generations_are_differences_too() -> None:
    plan = report_of(SWITCHED)
    assert reports.plan_differences(plan, report_of({**SWITCHED, "to": "c3"}))
    assert reports.plan_differences(plan, report_of(SWITCHED, {"changed": True, "path": "/x"}))
    elsewhere = reports.plan_differences(plan, report_of(SWITCHED, host="compute1"))
    assert {line.partition(":")[0] for line in elsewhere} == {"compute1", "controller1"}


BARE: dict[str, Any] = {
    "services": {},
    "records": {},
    "venvs": [],
    "uv": [],
    "packages": ["bash"],
    "dpkg_unfinished": False,
}


@pytest.mark.parametrize(
    ("found", "installed", "bare"),
    [
        ({}, ["nova"], True),
        ({"services": {"nova": {"current": None}}}, ["nova"], False),
        ({"venvs": ["nova-1"]}, ["nova"], False),
        ({"dpkg_unfinished": True}, ["nova"], False),
        ({}, [], False),  # a run before had installed all packages when it was cut off
    ],
)
def test_a_host_is_bare_that_has_nothing_of_a_run_before(
    run: reports.Run, found: dict[str, Any], installed: list[str], bare: bool
) -> None:
    run.result("compute1", "cairn_probe", "Ask", BARE | found)
    run.result("compute1", "cairn_stage", "Packages", {"installed": installed})
    run.result("compute1", "cairn_probe", "Ask again", BARE | {"services": {"nova": {}}})
    run.result("localhost", "debug", "Say", {})
    hosts = run.report({})["hosts"]
    assert [hosts["compute1"]["bare"], hosts["localhost"]["bare"]] == [bare, None]


def test_virtualenvs_are_counted_by_where_they_come_from(run: reports.Run) -> None:
    run.result("compute1", "cairn_build", "Build", {"changed": True, "built": {"nova-1": 41.5}})
    one = {"changed": True, "staged": {"nova": ["virtualenv nova-1", "generation 3f2a"]}}
    other = {"changed": True, "staged": {"heat": ["/var/lib/heat", "virtualenv heat-2"]}}
    run.result("compute2", "cairn_stage", "Stage", {"changed": True, "results": [one, other]})
    hosts = run.report({})["hosts"]
    assert hosts["compute1"]["built"] == ["nova-1"]
    assert hosts["compute2"]["unpacked"] == ["nova-1", "heat-2"]


def test_hosts_without_changes_share_a_line_with_their_calls(run: reports.Run) -> None:
    for host, calls in (("compute1", 2), ("compute2", 3)):
        run.host(host).remote_calls = calls
    assert text(run).splitlines()[-1] == "unchanged (remote calls): compute1 (2), compute2 (3)"


def test_many_changes_are_cut_but_counted(run: reports.Run) -> None:
    for number in range(reports.SHOWN_CHANGES + 3):
        run.result("compute1", "file", f"Task {number}", {"changed": True})
    assert "compute1: 15 changes" in text(run)
    assert "… and 3 more" in text(run)


def test_check_mode_says_that_nothing_was_changed(run: reports.Run) -> None:
    run.check = True
    run.result("compute1", "cairn_switch", "Switch", {"changed": True, "restarted": ["nova"]})
    assert "nothing was changed" in text(run)
    assert "would restart: nova" in text(run)


def test_a_failure_is_shown_whole_and_a_rescued_one_is_not(run: reports.Run) -> None:
    run.failure("compute1", "Check", {"failed": True, "msg": "VLAN 4097; a VLAN id is 1 to 4094"})
    run.failure("compute2", "Drain", {"failed": True, "msg": "was busy"})
    shown = text(run, {"compute1": {"failures": 1}, "compute2": {"failures": 0, "rescued": 1}})
    assert "FAILED compute1: Check\n  VLAN 4097; a VLAN id is 1 to 4094" in shown
    assert "compute2: " not in shown
    assert "run the same command again" in shown


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"msg": "words"}, "words"),
        ({"msg": "", "stderr": "boom"}, "boom"),
        ({"censored": "hidden due to no_log"}, "hidden due to no_log"),
        ({"msg": "One or more", "results": [{}, {"failed": True, "msg": "item 2"}]}, "item 2"),
        ({}, "no message: run again with -v"),
    ],
)
def test_the_reason_is_found_where_the_module_put_it(result: dict[str, Any], message: str) -> None:
    assert reports.explanation(result) == message


def test_a_long_reason_is_cut() -> None:
    assert len(reports.explanation({"msg": "x" * 5000})) < 700


def test_apis_are_where_the_catalog_says(run: reports.Run, tmp_path: Path) -> None:
    catalogs = {
        "glance": {"catalog": {"type": "image", "port": 9292, "path": "/v2"}},
        "heat": {
            "optional": True,
            "catalog": [
                {"type": "orchestration", "port": 8004},
                {"type": "cloudformation", "port": 8000, "name": "heat-cfn"},
            ],
        },
    }
    for role, description in catalogs.items():
        path = tmp_path / "roles" / role / "vars/main.yml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump({f"{role}_service": description}))
    described = registry.descriptions(tmp_path)
    site = {"names": {"public": "cloud.example"}, "services": []}
    run.result("controller1", "cairn_site", "Read", site)
    urls = reports.api_urls(run.site, reports.catalogs(described, run.site))
    assert urls == {"image": "https://cloud.example:9292/v2"}
    more = reports.api_urls(run.site, reports.catalogs(described, {"services": ["heat"]}))
    assert set(more) == {"image", "orchestration", "cloudformation"}
    assert reports.lines(run.report({}), urls)[-1] == "APIs: image https://cloud.example:9292/v2"
