"""The locks of a release, and the tool that makes them."""

from __future__ import annotations

import datetime
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cairn import releases

LOCKS = sorted(Path(__file__).parents[3].glob("releases/*/*.lock"))
INPUTS = sorted(Path(__file__).parents[3].glob("releases/*/*.in"))
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*(?:\[[a-z,]+\])?)==\S+( ; .+)? \\$")
RELEASE = """\
python: "3.14"
versions: {glance: ">=40,<41"}
overrides:
  - {package: django, version: ">=5.2.19,<5.3", since: 2030-01-02, reason: no support}
"""
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
    (folder / "release.yml").write_text(RELEASE)
    (tmp_path / "c.txt").write_text("# frozen\nDjango===4.2.28\nsix===1.17.0\n")
    return folder


@pytest.fixture
def resolved() -> list[str]:
    """The text that resolving gives; a test may replace it."""
    return ["resolved\n"]


@pytest.fixture
def constraints() -> list[str]:
    """The text of the constraints of each command that had some."""
    return []


@pytest.fixture
def commands(
    monkeypatch: pytest.MonkeyPatch, resolved: list[str], constraints: list[str]
) -> list[list[str]]:
    """Commands that would have been run; each writes a lock."""
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        if "--constraints" in command:
            constraints.append(Path(command[command.index("--constraints") + 1]).read_text())
        Path(command[command.index("--output-file") + 1]).write_text(resolved[0])
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


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_lock_holds_what_is_the_releases_own(lock: Path) -> None:
    release = releases.read(lock.parent)
    assert releases.strangers(release, releases.pins(lock.read_text())) == []


@pytest.mark.parametrize("source", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_input_bounds_its_services_as_the_release_does(source: Path) -> None:
    release = releases.read(source.parent)
    wanted = [Requirement(line) for line in source.read_text().splitlines() if line[:1] not in "#"]
    services = {
        canonicalize_name(one.name): one.specifier
        for one in wanted
        if canonicalize_name(one.name) in release.versions
    }
    assert services == {name: release.versions[name] for name in services}
    assert services or source.stem == "build"


def test_every_service_of_a_release_is_in_one_of_its_locks() -> None:
    for folder in {path.parent for path in LOCKS}:
        pinned = [set(releases.pins(path.read_text())) for path in folder.glob("*.lock")]
        assert set(releases.read(folder).versions) <= set.union(*pinned)


def test_a_lock_with_another_releases_service_is_refused_and_the_old_one_kept(
    tool: ModuleType,
    release: Path,
    commands: list[list[str]],
    resolved: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (release / "glance.lock").write_text("as before\n")
    resolved[0] = "glance==41.0.0 \\\n    --hash=sha256:00\n"
    assert tool.main(["--release", "2030.1", "--releases", str(release.parent), "glance"]) == 1
    assert "glance 41.0.0 is not 2030.1's, which has <41,>=40" in capsys.readouterr().err
    assert (release / "glance.lock").read_text() == "as before\n"


def test_the_hosts_python_is_the_releases(
    tool: ModuleType, release: Path, commands: list[list[str]]
) -> None:
    tool.main(["--release", "2030.1", "--releases", str(release.parent), "glance"])
    assert commands[0][commands[0].index("--python-version") + 1] == "3.14"


def test_a_constraint_that_is_exceeded_is_shown_with_date_and_reason(
    tool: ModuleType,
    release: Path,
    commands: list[list[str]],
    constraints: list[str],
    resolved: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    resolved[0] = "django==5.2.20 \\\n    --hash=sha256:00\n"
    given = ["--constraints", str(release.parent / "c.txt"), "glance"]
    assert tool.main(["--release", "2030.1", "--releases", str(release.parent), *given]) == 0
    assert constraints == ["# frozen\nDjango<5.3,>=5.2.19\nsix===1.17.0\n"]
    said = capsys.readouterr().out
    assert "instead of the upper constraint 4.2.28, since 2030-01-02: no support" in said
    head = (release / "glance.lock").read_text().splitlines()[1]
    assert head == (
        "# django 5.2.20 exceeds the upper constraint 4.2.28 since 2030-01-02: no support"
    )


def test_an_override_that_the_constraints_have_overtaken_is_reported(
    tool: ModuleType,
    release: Path,
    commands: list[list[str]],
    constraints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (release.parent / "c.txt").write_text("Django===5.2.21\n")
    given = ["--constraints", str(release.parent / "c.txt"), "glance"]
    assert tool.main(["--release", "2030.1", "--releases", str(release.parent), *given]) == 0
    assert constraints == ["Django===5.2.21\n"]
    assert "remove the override" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"versions": {}}, "needs python and versions"),
        ({"python": "3.13", "versions": {}, "overides": []}, "needs python and versions"),
        ({"python": 3.13, "versions": {}}, "write the version in quotes"),
        ({"python": "3.13", "versions": {"nova": "33"}}, "versions: nova: '33' is no range"),
        (
            {"python": "3.13", "versions": {}, "overrides": [{"package": "django"}]},
            "needs package, reason, since, version",
        ),
        (
            {
                "python": "3.13",
                "versions": {},
                "overrides": [{"package": "a", "version": ">1", "since": "soon", "reason": "b"}],
            },
            "'soon' is no date",
        ),
        (
            {
                "python": "3.13",
                "versions": {},
                "overrides": [
                    {
                        "package": "a",
                        "version": ">1",
                        "since": datetime.date(2026, 1, 1),
                        "reason": " ",
                    }
                ],
            },
            "reason: says nothing",
        ),
    ],
)
def test_a_wrong_release_is_refused(content: dict[str, Any], error: str) -> None:
    with pytest.raises(releases.ReleaseError, match=re.escape(error)):
        releases.parse("2030.1", content, "release.yml")


def test_build_tools_are_not_held_by_upper_constraints(
    tool: ModuleType, release: Path, commands: list[list[str]]
) -> None:
    given = ["--constraints", str(release.parent / "c.txt")]
    assert tool.main(["--release", "2030.1", "--releases", str(release.parent), *given]) == 0
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
    guide = (root / "docs/update-locks.md").read_text()
    (tmp_path / "c.txt").write_text("Django===4.2.28\n")
    shown = re.findall(r"^make lock (.*?)(?:  #.*)?$", guide, re.M)
    assert len(shown) == 3
    for line in shown:
        words = dict(word.split("=", 1) for word in shlex.split(line))
        assert words["CONSTRAINTS"]
        arguments = ["--constraints", str(tmp_path / "c.txt"), *words.get("ARGS", "").split()]
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
