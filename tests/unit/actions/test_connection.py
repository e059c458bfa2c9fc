"""Files come and go over the login user's connection, who need not be root."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from cairn.errors import CairnError
from cairn.service import venv_cache
from cairn_host import paths
from cairn_host.service import virtualenv


def test_an_archive_that_root_packed_can_be_fetched_by_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (tmp_path / "venvs/nova-1/lib").mkdir(parents=True)
    old = cache / "archives"
    old.mkdir(parents=True, mode=0o700)  # as an earlier release left it
    cache.chmod(0o700)
    monkeypatch.setattr(paths, "VENVS", tmp_path / "venvs")
    monkeypatch.setattr(paths, "ARCHIVES", old)
    umask = os.umask(0o077)
    try:
        packed = Path(virtualenv.pack("nova-1")["path"])
    finally:
        os.umask(umask)
    assert packed.stat().st_mode & 0o777 == 0o644
    for folder in (old, cache):
        assert folder.stat().st_mode & 0o777 == 0o755


def test_the_error_names_the_archive_that_cannot_be_fetched(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = script("plugins/action/cairn_build.py")
    action = object.__new__(module.ActionModule)

    def refuse(*_: Any) -> None:
        raise AnsibleError("failed to transfer file: Permission denied")

    action._connection = SimpleNamespace(fetch_file=refuse)
    archive = {"path": "/var/cache/cairn/archives/nova-1.tar.gz", "sha256": "x"}
    with pytest.raises(CairnError, match=r"archives/nova-1\.tar\.gz could not be fetched as the"):
        action.keep(archive, venv_cache.Archive.of("nova-1", "here"))


def test_no_action_uses_the_connection_by_itself(root: Path) -> None:
    """Only these know what of it passes by `become`."""
    allowed = {
        "building.py": {"fetch_file", "_transfer_file", "_shell"},
        "remote_calls.py": {"exec_command", "fetch_file", "put_file"},
    }
    for path in (*(root / "plugins/action").glob("*.py"), *archives_and_friends(root)):
        used = set(
            re.findall(
                r"\b(fetch_file|put_file|exec_command|_transfer_file|_transfer_data"
                r"|_low_level_execute_command|_remote_expand_user|_shell)\b",
                path.read_text(),
            )
        )
        assert used <= allowed.get(path.name, set()), path


def archives_and_friends(root: Path) -> list[Path]:
    return sorted((root / "cairn").rglob("*.py"))
