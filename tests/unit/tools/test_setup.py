"""Set-up finds what is there and names what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cairn
import cairn_host


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/setup")


def fake_python(path: Path, answer: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {answer}\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_a_package_list_may_have_comments(tool: ModuleType) -> None:
    text = "# why\n\ngit\nmmdebstrap  # makes the image\n"
    assert tool.package_names(text) == ["git", "mmdebstrap"]


def test_a_removed_package_is_not_installed(tool: ModuleType) -> None:
    assert tool.installed_names("git ii\nkept hi\nvim rc\nless un\nbad iU\n") == {"git", "kept"}


def test_the_lists_of_the_project_name_packages(tool: ModuleType, root: Path) -> None:
    lists = [*root.glob("*/packages.txt")]
    assert root / "tools/packages.txt" in lists
    for path in lists:
        names = tool.package_names(path.read_text())
        assert names, path
        assert all(" " not in name for name in names), path


def test_a_python_of_pyenv_is_found_and_its_shims_are_not(tool: ModuleType, tmp_path: Path) -> None:
    fake_python(tmp_path / ".pyenv/shims/python3.13", "3 13")
    real = fake_python(tmp_path / ".pyenv/versions/3.12.1/bin/python3.12", "3 12")
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path / ".pyenv/shims")}
    paths = tool.python_paths(environ)
    assert real in paths
    assert tmp_path / ".pyenv/shims/python3.13" not in paths


def test_a_newer_python_on_the_path_comes_before_an_older_one(
    tool: ModuleType, tmp_path: Path
) -> None:
    fake_python(tmp_path / "a/python3.12", "3 12")
    fake_python(tmp_path / "b/python3.13", "3 13")
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/a:{tmp_path}/b"}
    assert tool.find_python(environ) == tmp_path / "b/python3.13"


def test_a_python_that_fails_or_is_too_old_is_passed_over(tool: ModuleType, tmp_path: Path) -> None:
    assert not tool.works(tmp_path / "absent")
    assert not tool.works(fake_python(tmp_path / "no-venv", "", code=1))
    assert not tool.works(fake_python(tmp_path / "old", "3 11"))
    assert tool.works(fake_python(tmp_path / "good", "3 12"))


def test_a_named_python_that_does_not_do_is_an_error(tool: ModuleType, tmp_path: Path) -> None:
    old = fake_python(tmp_path / "old", "3 11")
    with pytest.raises(tool.SetupError, match=r"CAIRN_PYTHON=.* is no Python 3.12"):
        tool.find_python({"CAIRN_PYTHON": str(old)})


def test_without_any_python_it_says_where_to_get_one(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "works", lambda path: False)
    with pytest.raises(tool.SetupError, match=r"(?s)Debian 13 has one.*pyenv install"):
        tool.find_python({"PATH": "/usr/bin"})


def test_one_package_of_the_lock_comes_with_all_its_hashes(tool: ModuleType) -> None:
    uv = "uv==2 \\\n    --hash=sha256:2 \\\n    --hash=sha256:3\n"
    assert tool.locked(f"a==1 \\\n    --hash=sha256:1\n{uv}z==3\n", "uv") == uv
    with pytest.raises(tool.SetupError, match="make lock"):
        tool.locked(uv, "b")


def test_the_lock_names_no_host(root: Path) -> None:
    """A registry's name in it would break a site with a mirror."""
    text = (root / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert text.count("--hash=sha256:") > 100


def test_a_failing_command_is_named(tool: ModuleType) -> None:
    with pytest.raises(tool.SetupError, match="failed with 3: sh -c exit 3"):
        tool.run(["sh", "-c", "exit 3"])


@pytest.fixture
def installed(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands by which the project is installed into a made-up virtualenv of a made-up place."""
    commands: list[list[str]] = []
    packages = tmp_path / ".venv/lib/python3.13/site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("one")

    def install(command: list[Any], **_how: Any) -> None:
        commands.append([str(word) for word in command])
        (packages / "cairn-0.1.0.dist-info").mkdir(exist_ok=True)

    monkeypatch.setattr(tool, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "run", install)
    return commands


def test_the_project_is_installed_from_where_it_stands(
    tool: ModuleType, installed: list[list[str]], tmp_path: Path
) -> None:
    tool.install_project()
    (command,) = installed
    assert command[-2:] == ["--editable", str(tmp_path)]
    assert {"--no-index", "--no-build-isolation", "--no-deps"} <= set(command)


def test_the_project_is_installed_again_when_it_moved_changed_or_was_removed(
    tool: ModuleType,
    installed: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool.install_project()
    tool.install_project()
    assert len(installed) == 1, "nothing has changed"
    (tmp_path / "pyproject.toml").write_text("two")
    tool.install_project()
    assert len(installed) == 2
    (tmp_path / ".venv/lib/python3.13/site-packages/cairn-0.1.0.dist-info").rmdir()
    tool.install_project()
    assert len(installed) == 3, "uv pip sync removes what is not in the lock"
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "pyproject.toml").write_text("two")
    monkeypatch.setattr(tool, "ROOT", moved)
    tool.install_project()
    assert len(installed) == 4


def test_both_packages_are_those_of_this_checkout(root: Path) -> None:
    assert Path(cairn.__file__).parent == root / "cairn"
    assert Path(cairn_host.__file__).parent == root / "plugins/module_utils/cairn_host"
