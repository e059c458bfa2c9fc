"""A copy of the project in which tests follow the contributor's guide."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Ran = subprocess.CompletedProcess[str]


@dataclass
class Copy:
    """The files that git knows or would add, with this project's tools."""

    root: Path
    settings: dict[str, str]

    def run(self, *words: str, check: bool = True) -> Ran:
        """Run a command in it, on its own code."""
        done = subprocess.run(
            words, cwd=self.root, env=self.settings, capture_output=True, text=True, check=False
        )
        assert not check or not done.returncode, f"{words}:\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def copy(
    root: Path,
    copy_project: Callable[[Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Copy:
    """A copy of the project that a module's tests may change."""
    place = tmp_path_factory.mktemp("project")
    copy_project(place)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "GIT_", "PYTEST_"))}
    # .venv knows the packages of the checkout; what comes first is the copy's.
    own["PATH"] = f"{root}/.venv/bin:{own['PATH']}"
    own["PYTHONPATH"] = f"{place}:{place}/plugins/module_utils"
    # Looking for plugins takes pytest three seconds, and unit tests need none.
    own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    copy = Copy(place, own)
    copy.run("git", "init", "--quiet")
    (place / ".git/info/exclude").write_text(".venv\n")
    return copy
