"""Plugins are as thin as the contributor's guide says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/contributing/what-runs-where.md").read_text()
SECTION = GUIDE.partition("\n## Thin plugins\n")[2].partition("\n## ")[0]
LIMITS = re.findall(r"at\s+most\s+(\d+)\s+lines", SECTION)
PLUGINS = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in ("plugins/*/*.py", "filter_plugins/*.py")
    for path in sorted(ROOT.glob(pattern))
}


def length(body: Iterable[ast.stmt]) -> int:
    """Lines of the functions, also of classes."""
    lines = 0
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines += (node.end_lineno or node.lineno) - node.lineno + 1
        elif isinstance(node, ast.ClassDef):
            lines += length(node.body)
    return lines


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_is_thin(name: str) -> None:
    (limit,) = LIMITS
    assert length(ast.parse(PLUGINS[name].read_text()).body) <= int(limit)


def test_functions_of_classes_count() -> None:
    text = (
        "x = 1\ndef f():\n    return 1\nclass A:\n    y = 2\n    def g(self):\n        return 3\n"
    )
    assert length(ast.parse(text).body) == 4
