"""The figures of `make bench` are those of the runs, set beside their budgets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cairn.planes import read_site

from bench import bench, many, on_host

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


def test_the_table_sets_figures_beside_budgets() -> None:
    result = {
        "lab": {
            "phases": [{"name": "site", "seconds": 600.0, "memory_mb": 9000}],
            "seconds": 600.0,
        },
        "again": bench.figures(RUN, 41.0),
        "instance": {"active": 50.2},
        "floor": {
            "packages": 200.0,
            "virtualenvs": 100.0,
            "schemas": 60.0,
            "starts": 40.0,
            "seconds": 400.0,
        },
    }
    table = {what: (figure, budget) for what, figure, budget in bench.rows(result)}
    assert table["make lab: site"] == ("600.0 s, 9000 MiB", "")
    assert table["second site.yml"][0] == "41.0 s, 2 changed, 1 restarts"
    assert table["second site.yml: remote calls"][0] == "compute1=2 controller1=7"
    assert table["server create to active"] == ("50.2 s", "")
    assert table["site.yml / floor"] == ("1.50", "≤ 1.5")


def test_simulated_hosts_stand_in_the_table_by_their_number() -> None:
    cost = {"seconds": 31.5, "processor_seconds": 58.0, "memory_mb": 80}
    assert bench.rows({"many": {"100": cost}}) == [
        (
            "100 idle compute hosts",
            "31.5 s, 58.0 s of processor, 80 MiB",
            "≤ 60 s for 100, linear",
        )
    ]


def test_simulated_hosts_are_a_valid_site() -> None:
    made = many.inventory(100)
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

    def on_host_(lab: str, host: str, call: str) -> dict[str, Any]:
        if call.startswith("install"):
            raise bench.BenchError("no mirror")
        return {"keystone": 1.0} if call == "schemas()" else {"starts": 1.0, "packages": ["acl"]}

    monkeypatch.delenv("CAIRN_LAB", raising=False)
    monkeypatch.setattr(bench, "lab_hosts", lambda: ("c1", ["c1", "n1"]))
    monkeypatch.setattr(bench, "on_host", on_host_)
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
    monkeypatch.setattr(on_host, "SERVICES", tmp_path)
    monkeypatch.setattr(on_host, "current", lambda: [made])
    monkeypatch.setattr(on_host, "Path", lambda path: copied if "floor-" in path else Path(path))
    monkeypatch.setattr(on_host, "database_user", lambda role: f"`{role}`@`10.0.0.0/24`")
    monkeypatch.setattr(on_host, "timed", timed)
    monkeypatch.setattr(on_host.os, "chown", lambda *_: None)
    with pytest.raises(SystemExit, match="schema failed"):
        on_host.schemas()
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
    on_host.unpack(str(tmp_path))
    assert json.loads(capsys.readouterr().out)["virtualenvs"] > 0
    assert {path.read_text() for path in tmp_path.glob("*/file")} == {"nova-1", "glance-2"}


def test_a_missing_record_names_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    with pytest.raises(bench.BenchError, match=r"phases\.json is not there: run `make lab` first"):
        bench.measure_lab()


def test_an_unknown_measurement_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["speed"]) == 2
    assert "use lab, again, option, instance, many, floor" in capsys.readouterr().err


def test_schemas_are_timed_beside_the_real_databases() -> None:
    text = (
        "connection = mysql+pymysql://nova:pw@10.0.0.1/nova_api?charset=utf8\n"
        "connection = mysql+pymysql://nova:pw@10.0.0.1/nova\ntransport_url = rabbit://x//nova\n"
    )
    renamed, names = on_host.bench_urls(text)
    assert names == {"bench_nova_api", "bench_nova"}
    assert "/bench_nova_api?charset=utf8" in renamed
    assert "rabbit://x//nova" in renamed
