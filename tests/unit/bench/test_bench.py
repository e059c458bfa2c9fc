"""The figures of `make bench` are those of the runs, set beside their budgets."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import bench, floor, scale
from cairn.site.planes import read_site

RUN: dict[str, Any] = {
    "plays": [{"name": "Stage", "seconds": 4.0}],
    "hosts": {
        "compute1": {"changed": [], "restarted": [], "remote_calls": 2},
        "controller1": {"changed": ["a", "b"], "restarted": ["nova-api"], "remote_calls": 7},
    },
}


def test_a_run_is_summed_up_over_its_hosts() -> None:
    figures = bench.figures(RUN, 41.26)
    assert figures["seconds"] == 41.3
    assert figures["changed"] == 2
    assert figures["restarted"] == {"controller1": ["nova-api"]}
    assert figures["remote_calls"] == {"compute1": 2, "controller1": 7}


FLOOR = {"packages": 200.0, "virtualenvs": 100.0, "schemas": 60.0, "starts": 40.0, "seconds": 400.0}
FOUND = {"playbook": "site.yml", "bare": True, "changed": 500, "built": 0, "unpacked": 12}


def phase(name: str, seconds: float, status: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": name, "seconds": seconds, "memory_mb": 9000, "status": status, **more}


@pytest.fixture(autouse=True)
def _the_default_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAIRN_LAB", raising=False)


def make_lab(site: dict[str, Any] | None = None, *parts: str, status: int = 0) -> list[Any]:
    """Return the record of a `make lab`; `site`: what site.yml found, `parts`: what was built."""
    built = [{"name": part, "seconds": 100.0} for part in parts]
    run = {"run": {**FOUND, **site}} if site is not None else {}
    return [
        phase("machines", 330.5, **({"parts": built} if built else {})),
        phase("site", 600.0, status, **run),
        *([] if status else [phase("verify", 90.0)]),
    ]


def measured(
    phases: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    monkeypatch.setattr(bench, "CACHE", tmp_path)
    (tmp_path / "phases-lab.json").write_text(json.dumps(phases))
    return bench.measure_lab()


def shown(result: dict[str, Any]) -> dict[str, str]:
    return {what: figure for what, figure, _ in bench.rows(result)}


def test_the_table_sets_figures_beside_budgets() -> None:
    result = {
        "lab": {"with caches": {"phases": make_lab({}), "seconds": 1020.5}},
        "again": bench.figures(RUN, 41.0),
        "instance": {"active": 50.2},
        "floor": FLOOR,
    }
    table = {what: (figure, budget) for what, figure, budget in bench.rows(result)}
    assert table["make lab, with caches: site"] == ("600.0 s, 9000 MiB", "")
    assert table["make lab, with caches"] == ("1020.5 s", "")
    assert table["second site.yml"][0] == "41.0 s, 2 changed, 1 restarts"
    assert table["second site.yml: remote calls"][0] == "compute1=2 controller1=7"
    assert table["server create to active"] == ("50.2 s", "")
    assert table["site.yml, with caches / floor"] == ("1.50", "≤ 1.5")


@pytest.mark.parametrize(
    ("site", "parts", "start"),
    [
        ({"built": 12, "unpacked": 0}, ("toolchain", "kernel", "image"), "from nothing"),
        ({"built": 12, "unpacked": 0}, ("debian-kernel", "image"), "from nothing"),
        ({"built": 12, "unpacked": 0}, (), "with some caches"),
        ({}, ("image",), "with some caches"),
        ({}, (), "with caches"),
        ({"bare": False, "changed": 0, "unpacked": 0}, (), "over a deployed cloud"),
        (None, (), "over an unknown state"),  # of a tools/phase that took no note of it
    ],
)
def test_a_make_lab_is_known_by_what_it_found(
    site: dict[str, Any] | None,
    parts: tuple[str, ...],
    start: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(measured(make_lab(site, *parts), tmp_path, monkeypatch)) == [start]


@pytest.mark.parametrize(
    ("site", "floor", "said"),
    [
        ({}, "floor", "1.50"),
        ({}, "floor-built", "it took 12 virtualenvs from archives"),
        ({"built": 12, "unpacked": 0}, "floor", "it built 12 virtualenvs"),
        ({"built": 12, "unpacked": 0}, "floor-built", "1.50"),
        ({"built": 2, "unpacked": 10}, "floor", "it built 2 virtualenvs"),
        ({"built": 2, "unpacked": 10}, "floor-built", "it took 10 virtualenvs from archives"),
        ({"bare": False, "changed": 0}, "floor", "hosts that were not bare, and changed 0 things"),
        (None, "floor", "its record does not say what site.yml found"),
    ],
)
def test_only_a_deployment_on_bare_hosts_is_held_against_its_floor(
    site: dict[str, Any] | None,
    floor: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = measured(make_lab(site), tmp_path, monkeypatch)
    (row,) = [row for row in bench.rows({"lab": lab, floor: FLOOR}) if "/" in row[0]]
    assert said in row[1]
    assert row[2] == "≤ 1.5"


def test_a_phase_that_failed_is_shown_and_gives_no_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = measured(make_lab({}, status=2), tmp_path, monkeypatch)
    table = shown({"lab": lab, "floor": FLOOR})
    assert table["make lab, failed: site"] == "600.0 s, 9000 MiB, FAILED (exit 2)"
    assert table["make lab, failed"] == "930.5 s until site failed"
    assert table["site.yml / floor"] == "not measured by make lab, failed: site.yml failed"


def test_a_make_lab_that_goes_on_is_no_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = measured(make_lab({})[:1], tmp_path, monkeypatch)
    assert shown({"lab": lab, "floor": FLOOR})["site.yml / floor"] == (
        "not measured by make lab, unfinished: site.yml did not run"
    )


def test_what_was_built_for_the_machines_is_shown_with_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = measured(make_lab({"built": 12, "unpacked": 0}, "kernel", "image"), tmp_path, monkeypatch)
    table = shown({"lab": lab})
    assert table["make lab, from nothing: machines"] == "330.5 s, 9000 MiB"
    assert table["make lab, from nothing: machines: kernel"] == "100.0 s"
    assert table["make lab, from nothing: machines: image"] == "100.0 s"
    assert table["make lab, from nothing: machines: the rest"] == "130.5 s"


def test_from_nothing_and_with_caches_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "RESULT", tmp_path / "last.json")
    monkeypatch.setattr(bench, "CACHE", tmp_path)
    old = {"lab": {"phases": [], "seconds": 1.0}}  # as it was kept before
    (tmp_path / "last.json").write_text(json.dumps({**old, "floor": FLOOR, "floor-built": FLOOR}))
    for site, parts in (({"built": 12, "unpacked": 0}, ("kernel", "image")), ({}, ())):
        (tmp_path / "phases-lab.json").write_text(json.dumps(make_lab(site, *parts)))
        assert bench.main(["lab"]) == 0
    table = capsys.readouterr().out
    assert list(json.loads((tmp_path / "last.json").read_text())["lab"]) == [
        "from nothing",
        "with caches",
    ]
    assert "site.yml, with caches / floor " in table
    assert "site.yml, from nothing / floor-built " in table


def test_simulated_hosts_stand_in_the_table_by_their_number() -> None:
    cost = {"seconds": 31.5, "processor_seconds": 58.0, "memory_mb": 80}
    assert bench.rows({"scale": {"100": cost}}) == [
        (
            "100 idle compute hosts",
            "31.5 s, 58.0 s of processor, 80 MiB",
            "≤ 15 s",
        )
    ]


def test_simulated_hosts_are_a_valid_site() -> None:
    made = scale.inventory(100)
    groups = made["hosts"]["all"]["children"]
    variables = {
        host: {**made["variables"], **own}
        for group in groups.values()
        for host, own in group["hosts"].items()
    }
    site, problems = read_site(variables, {name: list(g["hosts"]) for name, g in groups.items()})
    assert problems == []
    assert len(site.hosts) == 108


def test_nothing_measured_gives_only_the_heading() -> None:
    assert bench.rows({}) == []
    assert bench.show([("what", "measured", "budget")]) == "what  measured  budget"


def test_the_floor_wants_the_archives_that_a_deployment_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(bench.BenchError, match="no archive of nova-1: `make lab` makes it"):
        bench.unpack_virtualenvs("compute1", {"venvs": ["nova-1"]})


def test_a_floor_that_fails_leaves_the_lab_running_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, ...]] = []

    def call_(lab: str, host: str, call: str) -> dict[str, Any]:
        if call.startswith("install"):
            raise bench.BenchError("no mirror")
        return {"keystone": 1.0} if call == "schemas()" else {"starts": 1.0, "packages": ["acl"]}

    monkeypatch.delenv("CAIRN_LAB", raising=False)
    monkeypatch.setattr(bench, "lab_hosts", lambda: ("c1", ["c1", "n1"]))
    monkeypatch.setattr(bench, "on_floor", call_)
    monkeypatch.setattr(bench, "lab_command", lambda *words: done.append(words))
    with pytest.raises(bench.BenchError, match="no mirror"):
        bench.measure_floor()
    assert done == [
        ("lab", "stop"),
        ("floor", "up"),
        ("floor", "destroy"),
        ("lab", "start", "c1", "n1"),
    ]


def test_a_schema_that_fails_leaves_no_database_right_or_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def timed(command: list[str]) -> float:
        asked.append(command[-1])
        if "db_sync" in command:
            raise SystemExit("schema failed")
        return 0.0

    etc = tmp_path / "keystone/current/etc"
    etc.mkdir(parents=True)
    (etc / "keystone.conf").write_text("connection = mysql+pymysql://keystone:x@db/keystone\n")
    made = {
        "role": "keystone",
        "venv": {"name": "keystone-1"},
        "user": {"name": "root"},
        "migrations": [{"command": "{venv}/bin/keystone-manage db_sync"}],
    }
    copied = tmp_path / "copy"
    monkeypatch.setattr(floor, "SERVICES", tmp_path)
    monkeypatch.setattr(floor, "current", lambda: [made])
    monkeypatch.setattr(floor, "Path", lambda path: copied if "floor-" in path else Path(path))
    monkeypatch.setattr(floor, "database_user", lambda role: f"`{role}`@`10.0.0.0/24`")
    monkeypatch.setattr(floor, "timed", timed)
    monkeypatch.setattr(floor.os, "chown", lambda *_: None)
    with pytest.raises(SystemExit, match="schema failed"):
        floor.schemas()
    assert asked == [
        "CREATE OR REPLACE DATABASE `bench_keystone`",
        "GRANT ALL ON `bench_keystone`.* TO `keystone`@`10.0.0.0/24`",
        "db_sync",
        "REVOKE ALL ON `bench_keystone`.* FROM `keystone`@`10.0.0.0/24`",
        "DROP DATABASE `bench_keystone`",
    ]
    assert not copied.exists()


def test_archives_are_unpacked_beside_one_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("nova-1", "glance-2"):
        (tmp_path / "file").write_text(name)
        subprocess.run(["tar", "-czf", f"{name}.tar.gz", "file"], cwd=tmp_path, check=True)
    floor.unpack(str(tmp_path))
    assert json.loads(capsys.readouterr().out)["virtualenvs"] > 0
    assert {path.read_text() for path in tmp_path.glob("*/file")} == {"nova-1", "glance-2"}


def test_a_missing_record_names_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    with pytest.raises(bench.BenchError, match=r"phases-lab\.json is not there: run `make lab`"):
        bench.measure_lab()


def test_an_unknown_measurement_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["speed"]) == 2
    assert "use lab, again, option, instance, scale, floor" in capsys.readouterr().err


def test_schemas_are_timed_beside_the_real_databases() -> None:
    text = (
        "connection = mysql+pymysql://nova:pw@10.0.0.1/nova_api?charset=utf8\n"
        "connection = mysql+pymysql://nova:pw@10.0.0.1/nova\ntransport_url = rabbit://x//nova\n"
    )
    renamed, names = floor.bench_urls(text)
    assert names == {"bench_nova_api", "bench_nova"}
    assert "/bench_nova_api?charset=utf8" in renamed
    assert "rabbit://x//nova" in renamed


def test_a_few_simulated_hosts_are_measured_in_full_and_cost_two_tasks_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "FOLDER", tmp_path)
    monkeypatch.setattr(scale, "OTHERS", dict.fromkeys(scale.OTHERS, 1))
    found = scale.measure((2,))["2"]
    assert found["seconds"] > 0 and found["processor_seconds"] > 0
    log = (tmp_path / "scale-2.log").read_text()
    hosts = 3 + 2
    for line in re.findall(r"^\S+ +: (ok=.*)$", log, re.M):
        assert "changed=0" in line and "failed=0" in line and "unreachable=0" in line
    assert len(re.findall(r"^\S+ +: ok=", log, re.M)) == hosts
    # The simulated hosts refuse every call that is not the probe's.
    assert len(re.findall(r"\w \(0\)", log)) == hosts
    # A task costs 25 to 30 ms a host, a skipped one as well: an idle host has the probe and the
    # decision, and no other.
    (line,) = re.findall(r"^compute2 +: (ok=.*)$", log, re.M)
    assert "ok=2 " in line and "skipped=0" in line
    # With these hosts at hand: what comes every day finds nothing due, and ends well.
    scale.run(tmp_path / "scale-2", record=False, playbook="renew.yml")
    log = (tmp_path / "scale-2.log").read_text()
    assert "failed=0" in log and "changed=1" not in log


def test_the_second_run_is_measured_without_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(bench, "site", lambda *words: asked.append(words) or {"seconds": 1.0})
    assert bench.measure_again() == {"seconds": 1.0}
    assert asked == [()]


def test_an_option_is_changed_and_changed_back_even_where_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, ...]] = []

    def site(*words: str) -> dict[str, Any]:
        asked.append(words)
        if words and json.loads(words[1]) == bench.OPTION:
            raise bench.BenchError("nova does not start")
        return {}

    monkeypatch.setattr(bench, "site", site)
    with pytest.raises(bench.BenchError, match="nova does not start"):
        bench.measure_option()
    assert [bool(words) for words in asked] == [True, False]


def test_a_run_is_measured_by_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "last-run.json").write_text(json.dumps(RUN))
    monkeypatch.setattr(bench, "CACHE", tmp_path)
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(bench.subprocess, "run", run)
    assert bench.site("-e", "a=1")["changed"] == 2
    assert ran[0][-3:] == ["playbooks/site.yml", "-e", "a=1"]


def test_an_instance_is_measured_as_verify_saw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "verify.json").write_text(json.dumps({"seconds": {"active": 12.5}}))
    monkeypatch.setattr(bench, "CACHE", tmp_path)
    assert bench.measure_instance() == {"active": 12.5}


@pytest.mark.parametrize(
    ("measure", "virtualenvs"),
    [("measure_floor", "unpack_virtualenvs"), ("measure_floor_built", "build_virtualenvs")],
)
def test_a_floor_is_the_sum_of_its_parts(
    measure: str, virtualenvs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call_(lab: str, host: str, call: str) -> dict[str, Any]:
        if call == "schemas()":
            return {"keystone": 1.0, "nova": 2.0}
        return {"starts": 3.0, "packages": 4.0}

    monkeypatch.delenv("CAIRN_LAB", raising=False)
    monkeypatch.setattr(bench, "lab_hosts", lambda: ("c1", ["c1", "n1"]))
    monkeypatch.setattr(bench, "on_floor", call_)
    monkeypatch.setattr(bench, "lab_command", lambda *_: None)
    # Bound as the default when the module was read.
    seconds = {"c1": 5.0, "n1": 6.0}
    if measure == "measure_floor":
        measured = bench.measure_floor(lambda host, _: seconds[host])
    else:
        monkeypatch.setattr(bench, virtualenvs, lambda host, _: seconds[host])
        measured = bench.measure_floor_built()
    assert measured["seconds"] == 3.0 + 3.0 + 4.0 + 6.0
    assert measured["by_schema"] == {"keystone": 1.0, "nova": 2.0}
