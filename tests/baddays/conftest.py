"""The deployed lab, and ways to hurt it. Needs `make lab` to have ended well before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deployed import ROOT, Cloud

INVENTORY = ROOT / "inventories" / "lab"
LAB = os.environ.get("CAIRN_LAB")


@pytest.fixture(scope="session")
def python() -> str:
    """Python inside the lab's network, whatever the lab is called."""
    return str(Cloud(ROOT, lab=LAB).python)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """The lab's cloud, serving: a host that the test before has hurt may still be on its way."""
    found = Cloud(tmp_path, lab=LAB)
    found.must_exist()
    found.wait_answers(300)
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Make a copy of the project in which a test may change anything."""

    def make() -> Path:
        tree = tmp_path / "tree"
        shutil.copytree(
            ROOT,
            tree,
            symlinks=True,
            ignore=shutil.ignore_patterns(".git", ".venv", ".lab", ".cache", "__pycache__"),
        )
        (tree / ".lab").symlink_to(ROOT / ".lab")
        return tree

    yield make
    shutil.rmtree(tmp_path / "tree", ignore_errors=True)
