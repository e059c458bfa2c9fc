"""A phase of `make lab` leaves its figures behind and its exit code unchanged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def tool(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    tool = script("tools/phase")
    monkeypatch.setattr(tool, "RECORD", tmp_path / ".cache/phases-lab.json")
    return tool


def test_used_memory_is_what_is_not_available(tool: ModuleType) -> None:
    assert (
        tool.used_memory("MemTotal: 2097152 kB\nMemFree: 1 kB\nMemAvailable: 1048576 kB\n") == 1024
    )


def test_phases_add_up_until_the_next_run_begins(tool: ModuleType) -> None:
    assert tool.main(["begin"]) == 0
    assert tool.main(["one", "true"]) == 0
    assert tool.main(["two", "sh", "-c", "exit 4"]) == 4
    record = json.loads(tool.RECORD.read_text())
    assert [(phase["name"], phase["status"]) for phase in record] == [("one", 0), ("two", 4)]
    assert all(phase["memory_mb"] > 0 and phase["seconds"] >= 0 for phase in record)
    tool.main(["begin"])
    assert not tool.RECORD.exists()


def host(bare: bool | None, built: tuple[str, ...] = (), unpacked: tuple[str, ...] = ()) -> object:
    return {"bare": bare, "changed": ["a"], "built": built, "unpacked": unpacked}


@pytest.mark.parametrize(
    ("hosts", "run"),
    [
        (  # who builds one needs no archive of it
            [host(True, ("nova-1",)), host(True, (), ("nova-1",)), host(None)],
            {"bare": True, "changed": 3, "built": 1, "unpacked": 0},
        ),
        (
            [host(True, (), ("nova-1",)), host(False)],
            {"bare": False, "changed": 2, "built": 0, "unpacked": 1},
        ),
        ([host(None)], {"bare": False, "changed": 1, "built": 0, "unpacked": 0}),
    ],
)
def test_a_playbooks_phase_says_what_it_found(
    tool: ModuleType, tmp_path: Path, hosts: list[object], run: dict[str, object]
) -> None:
    summary = {"playbook": "site.yml", "hosts": dict(enumerate(hosts))}
    (tmp_path / "made.json").write_text(json.dumps(summary))
    report = tmp_path / ".cache/last-run.json"
    tool.main(["site", "cp", str(tmp_path / "made.json"), str(report)])
    tool.main(["other", "true"])  # leaves the same summary there
    (site, other) = json.loads(tool.RECORD.read_text())
    assert site["run"] == {"playbook": "site.yml", **run}
    assert "run" not in other


def test_what_the_lab_builds_is_a_part_of_its_phase(
    tool: ModuleType, tmp_path: Path, root: Path
) -> None:
    build = "from lab import cache; cache.entry('image-0123456789ab', lambda folder, fd: None)"
    cached = ["env", "-C", str(root), f"XDG_CACHE_HOME={tmp_path}", sys.executable, "-c", build]
    for name in ("machines", "again"):
        assert tool.main([name, *cached]) == 0
    machines, again = json.loads(tool.RECORD.read_text())
    assert [part["name"] for part in machines["parts"]] == ["image"]
    assert machines["parts"][0]["seconds"] <= machines["seconds"]
    assert "parts" not in again
