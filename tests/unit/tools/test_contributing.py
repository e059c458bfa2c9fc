"""The contributor's guide names only what is there; test_scaffold*.py follow its pages."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = "docs/contributing"


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
