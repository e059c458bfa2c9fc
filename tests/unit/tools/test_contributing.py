"""The contributor's guide is followed, step by step, in a copy of the project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGES = "docs/contributing"
Follow = Callable[[Path, Path], list[str]]


def test_the_pages_end_green(root: Path, copy: Any, followed: Follow) -> None:
    changed = [
        path
        for page in ("add-a-check.md", "write-a-module.md")
        for path in followed(root / PAGES / page, copy.root)
    ]
    copy.run("ruff", "check", *changed)
    copy.run("ruff", "format", "--check", *changed)
    # A test holds the page of findings against the code, as `make docs` writes it.
    write = "(FOLDER / 'findings.md').write_text(findings.findings_page())"
    copy.run("python", "-c", f"from cairn.reference.__main__ import *; {write}")
    tests = [path for path in changed if path.startswith("tests/")]
    assert len(tests) == 2
    others = ["tests/unit/preflight/test_checks.py", "tests/unit/modules/test_module_docs.py"]
    chosen = ("-k", "test_processors or test_checks or kernel")
    ran = copy.run("pytest", "-v", "-p", "no:cacheprovider", *tests, *others, *chosen).stdout
    passed = re.findall(r"(?m)^(\S+?)::.* PASSED", ran)
    assert set(passed) == {*tests, *others}, ran


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
