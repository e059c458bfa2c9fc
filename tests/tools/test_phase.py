"""A phase of `make lab` leaves its figures behind and its exit code unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def tool(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    tool = script("tools/phase")
    monkeypatch.setattr(tool, "RECORD", tmp_path / ".cache/phases.json")
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
