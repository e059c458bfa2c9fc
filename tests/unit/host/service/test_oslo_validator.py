"""What a virtualenv's code tells of its options is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_host.service import oslo_validator


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The namespaces that the code was asked for, each time."""
    found: list[list[str]] = []

    def described(namespaces: list[str]) -> dict[str, object]:
        found.append(namespaces)
        return {"options": {"DEFAULT": {"opts": [{"name": name} for name in namespaces]}}}

    monkeypatch.setattr(oslo_validator, "described", described)
    return found


def test_the_code_is_imported_once(asked: list[list[str]], tmp_path: Path) -> None:
    first = oslo_validator.remembered(["nova", "oslo.db"], tmp_path / "kept")
    assert oslo_validator.remembered(["oslo.db", "nova"], tmp_path / "kept") == first
    assert asked == [["nova", "oslo.db"]]
    assert oslo_validator.remembered(["nova"], tmp_path / "kept") != first
    assert len(asked) == 2


def test_half_a_file_is_made_again(asked: list[list[str]], tmp_path: Path) -> None:
    first = oslo_validator.remembered(["nova"], tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_text(kept.read_text()[:20])
    assert oslo_validator.remembered(["nova"], tmp_path) == first
    assert len(asked) == 2


def test_a_folder_that_cannot_be_written_does_no_harm(
    asked: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert oslo_validator.remembered(["nova"], tmp_path / "file")
    assert oslo_validator.remembered(["nova"], tmp_path / "file")
    assert len(asked) == 2
