"""The contributor's guide is followed, step by step, in a copy of the project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGES = "docs/contributing"
Follow = Callable[[Path, Path], list[str]]


@pytest.mark.parametrize(
    ("page", "others"),
    [
        ("add-a-check.md", ["tests/unit/preflight/test_checks.py"]),
        ("write-a-module.md", ["tests/unit/modules/test_module_docs.py", "-k", "kernel"]),
    ],
)
def test_the_page_ends_green(
    root: Path, copy: Any, followed: Follow, page: str, others: list[str]
) -> None:
    changed = followed(root / PAGES / page, copy.root)
    (test,) = [path for path in changed if path.startswith("tests/")]
    copy.run("ruff", "check", *changed)
    copy.run("ruff", "format", "--check", *changed)
    quiet = ("pytest", "-q", "-p", "no:cacheprovider")
    copy.run(*quiet, test)
    copy.run(*quiet, *others)


def pages(root: Path) -> list[Path]:
    """Return the pages for contributors."""
    return [root / "CONTRIBUTING.md", root / "SECURITY.md", *sorted((root / PAGES).glob("*.md"))]


def test_links_of_the_pages_lead_somewhere(root: Path) -> None:
    for page in pages(root):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_targets_of_the_pages_are_there(root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    for page in pages(root):
        named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(), re.M))
        assert named <= targets, page.name
    table = (root / "CONTRIBUTING.md").read_text().partition("| target |")[2].partition("\n\n")[0]
    assert {"lint", "unit", "labs", "molecule", "lab", "test", "ha"} <= set(
        re.findall(r"`make ([a-z-]+)", table)
    )
