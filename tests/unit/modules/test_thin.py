"""Plugins are thin, but for those that the contributor's guide names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/contributing/what-runs-where.md").read_text()
SECTION = GUIDE.partition("\n## Thin plugins\n")[2].partition("\n## ")[0]
THICK = re.findall(r"`(cairn_(?!host)\w+)`", SECTION)
LIMIT = re.search(r"at most (\d+) lines", SECTION)
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
def test_a_plugin_is_thin_or_named(name: str) -> None:
    assert LIMIT
    lines = length(ast.parse(PLUGINS[name].read_text()).body)
    assert lines <= int(LIMIT[1]) or PLUGINS[name].stem in THICK, f"{name}: {lines} lines"


def test_modules_that_the_guide_names_are_there() -> None:
    assert {f"plugins/modules/{name}.py" for name in THICK} <= set(PLUGINS)


def test_functions_of_classes_count() -> None:
    text = (
        "x = 1\ndef f():\n    return 1\nclass A:\n    y = 2\n    def g(self):\n        return 3\n"
    )
    assert length(ast.parse(text).body) == 4
