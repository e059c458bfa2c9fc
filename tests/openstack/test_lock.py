"""The locks of a release, and the tool that makes them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LOCKS = sorted(Path(__file__).parents[2].glob("releases/*/*.lock"))
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*(?:\[[a-z,]+\])?)==\S+( ; .+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/lock.py")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "2030.1"
    folder.mkdir()
    for name in ("build", "glance"):
        (folder / f"{name}.in").write_text(f"{name}\n")
    return folder


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run; each writes a lock."""
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        Path(command[command.index("--output-file") + 1]).write_text("resolved\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return seen


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_pins_every_package_by_version_and_hash_and_nothing_else(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not PIN.match(line) and not HASH.match(line)] == []
    assert len([line for line in lines if PIN.match(line)]) > 3


def test_every_input_has_its_lock() -> None:
    inputs = {path.with_suffix("") for path in LOCKS[0].parents[1].glob("*/*.in")}
    assert inputs == {path.with_suffix("") for path in LOCKS}


def test_build_tools_are_not_held_by_upper_constraints(
    tool: ModuleType, release: Path, commands: list[list[str]]
) -> None:
    arguments = ["--release", "2030.1", "--releases", str(release.parent), "--constraints", "c.txt"]
    assert tool.main(arguments) == 0
    held = {Path(command[-1]).stem: "--constraints" in command for command in commands}
    assert held == {"build": False, "glance": True}


def test_a_lock_opens_with_how_it_is_made(
    tool: ModuleType, release: Path, commands: list[list[str]]
) -> None:
    tool.main(["--release", "2030.1", "--releases", str(release.parent), "glance"])
    text = (release / "glance.lock").read_text()
    assert text.startswith("# Made by `make lock RELEASE=2030.1")
    assert text.endswith("resolved\n")
    assert len(commands) == 1


def test_the_commands_of_the_guide_are_understood(
    tool: ModuleType, commands: list[list[str]], root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "releases/2026.1", tmp_path / "2026.1")
    guide = (root / "docs/mechanics.md").read_text()
    told = re.findall(r"^    make lock (.*?)(?:  #.*)?$", guide, re.M)
    assert len(told) == 3
    for line in told:
        words = dict(word.split("=", 1) for word in shlex.split(line))
        arguments = ["--constraints", words["CONSTRAINTS"], *words.get("ARGS", "").split()]
        assert tool.main(["--release", "2026.1", "--releases", str(tmp_path), *arguments]) == 0
    all_of_it = len(list((root / "releases/2026.1").glob("*.in")))
    assert [Path(command[-1]).stem for command in commands[all_of_it:]] == ["nova", "nova"]
    assert ["--upgrade" in command for command in commands[-2:]] == [False, True]


def test_an_unknown_lock_is_refused_with_the_known_ones(
    tool: ModuleType, release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tool.main(["--release", "2030.1", "--releases", str(release.parent), "glnce"])
    assert "has no glnce; it has build, glance" in capsys.readouterr().err
