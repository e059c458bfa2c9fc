"""The module that keeps keystone's key repositories."""

from __future__ import annotations

import base64
import getpass
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("plugins/modules/cairn_keys.py")


def test_a_repository_is_its_numbered_files(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "0").write_text("staged")
    (tmp_path / "1").write_text("primary")
    (tmp_path / ".2").write_text("half written")
    assert module.read(tmp_path) == {"0": "staged", "1": "primary"}


def test_a_repository_that_is_not_there_has_no_keys(module: ModuleType, tmp_path: Path) -> None:
    assert module.read(tmp_path / "none") == {}


def test_writing_makes_the_folder_hold_exactly_the_keys(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "5").write_text("old")
    module.write(tmp_path, {"0": "s", "6": "p"}, getpass.getuser())
    assert module.read(tmp_path) == {"0": "s", "6": "p"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_only_the_owner_reads_a_key(module: ModuleType, tmp_path: Path) -> None:
    module.write(tmp_path, {"0": "s"}, getpass.getuser())
    assert (tmp_path / "0").stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_what_fernet_takes(module: ModuleType) -> None:
    key = module.new_key()
    assert len(base64.urlsafe_b64decode(key)) == 32
    assert key != module.new_key()
