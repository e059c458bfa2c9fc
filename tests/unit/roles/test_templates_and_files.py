"""Templates hold Jinja; what is copied as it is lies in files/, and a description names it."""

from __future__ import annotations

import re
from pathlib import Path

from cairn.service.registry import descriptions

JINJA = re.compile(r"\{\{|\{%|\{#")
# Data that the control node reads.
NOT_FOR_HOSTS = {"service": {"flows.yml"}}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*") if path.is_file()}


def test_a_template_holds_jinja(root: Path) -> None:
    """Otherwise linters, type checkers and tests could read it where it lies."""
    templates = root.glob("roles/*/templates/*")
    plain = [str(p.relative_to(root)) for p in templates if not JINJA.search(p.read_text())]
    assert plain == []


def test_every_file_of_a_role_is_copied_by_its_description(root: Path) -> None:
    for role, described in descriptions().items():
        copied = {entry["copy"] for entry in described.get("files") or () if "copy" in entry}
        assert copied == names(root / "roles" / role / "files") - NOT_FOR_HOSTS.get(role, set())


def test_no_other_role_has_files(root: Path) -> None:
    others = {path.parent.name for path in root.glob("roles/*/files")} - set(descriptions())
    assert others == set(NOT_FOR_HOSTS)
