"""Numbers that come as text: `-e pki_days=90` gives a string, as every `-e name=value` does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import nodes

NUMBERS = ("int", "float")
COUNTED = (
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow),
    *(nodes.Neg, nodes.Compare, nodes.Filter),
)
LARGEST = ("min", "max", "sum", "sort")
COMPARED = ("eq", "ne", "lt", "lteq", "gt", "gteq")


def numbers(root: Path) -> set[str]:
    """The variables of roles and of the site whose type is a number."""
    options: dict[str, Any] = yaml.safe_load((root / "cairn/site/variables.yml").read_text())[
        "inventory"
    ]
    found = {
        name
        for name, option in options.items()
        if isinstance(option, dict) and option.get("type") in NUMBERS
    }
    for path in (root / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            own = entry.get("options") or {}
            found |= {name for name, option in own.items() if option.get("type") in NUMBERS}
    return found


def expressions(path: Path) -> Iterator[str]:
    """The templates of a file: itself, or a YAML file's texts, with bare conditions in braces."""
    text = path.read_text()
    if path.suffix == ".j2":
        yield text
        return

    def walk(value: Any, key: str = "") -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(inner, str(name))
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner, key)
        elif isinstance(value, str):
            bare = key in ("when", "that", "until", "failed_when", "changed_when")
            yield "{{ " + value + " }}" if bare and "{{" not in value else value

    for document in yaml.load_all(text, Loader=yaml.BaseLoader):
        yield from walk(document)


def operands(node: nodes.Node) -> Iterator[nodes.Node]:
    """What an operator takes; a membership takes text as well."""
    if isinstance(node, nodes.Filter):
        if node.name in LARGEST and isinstance(node.node, nodes.List):
            yield from node.node.items
    elif not isinstance(node, nodes.Compare):
        yield from node.iter_child_nodes()
    elif all(operand.op in COMPARED for operand in node.ops):
        yield node.expr
        yield from (operand.expr for operand in node.ops)


def counted_as_they_come(text: str, known: set[str]) -> set[str]:
    """The variables of `known` that a template adds, multiplies or compares without `int`."""
    if not re.search(r"\{[{%]", text):
        return set()
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    tree = environment.parse(text)
    return {
        operand.name
        for kind in COUNTED
        for node in tree.find_all(kind)
        for operand in operands(node)
        if isinstance(operand, nodes.Name) and operand.name in known
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ n // 2 }}", {"n"}),
        ("{% if 3 < n %}{% endif %}", {"n"}),
        ("{{ -n }}", {"n"}),
        ("{{ [n, 20] | min }}", {"n"}),
        ("{{ [n | int, 20] | min }}", set()),
        ("{{ (n | int) // 2 }} {{ n }} {{ n in [1] }} {{ other + 1 }}", set()),
    ],
)
def test_what_counts_with_a_variable_is_found(text: str, found: set[str]) -> None:
    assert counted_as_they_come(text, {"n"}) == found


def test_numbers_are_made_of_what_is_counted_with(root: Path) -> None:
    known = numbers(root)
    assert {"pki_days", "cairn_host_number"} <= known
    found = {
        (str(path.relative_to(root)), name)
        for folder in ("roles", "playbooks")
        for pattern in ("**/*.yml", "**/*.j2")
        for path in (root / folder).glob(pattern)
        for text in expressions(path)
        for name in counted_as_they_come(text, known)
    }
    assert found == set()
