"""Numbers and booleans that come as text.

`-e pki_days=90` gives a string, as every `-e name=value` does; `iscsi_multipath=false` in an
inventory in INI form does, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import nodes

from tests.conftest import OPTIONAL

NUMBERS = ("int", "float")
HOSTS = ("controller1", "network1", "compute1", "storage1")
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


def bare(node: nodes.Node) -> nodes.Node:
    """A node without the filter `default`, which does not change the type of what is there."""
    while isinstance(node, nodes.Filter) and node.name in ("default", "d") and node.node:
        node = node.node
    return node


def parsed(text: str) -> nodes.Template:
    """A template's syntax tree; one without nodes for a text that is no template."""
    if not re.search(r"\{[{%]", text):
        return nodes.Template([])
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    return environment.parse(text)


def in_files(
    root: Path, find: Callable[[str, set[str]], set[str]], known: set[str]
) -> set[tuple[str, str]]:
    """What `find` finds in the templates of all roles and playbooks: file and variable."""
    return {
        (str(path.relative_to(root)), name)
        for folder in ("roles", "playbooks")
        for pattern in ("**/*.yml", "**/*.j2")
        for path in (root / folder).glob(pattern)
        for text in expressions(path)
        for name in find(text, known)
    }


def counted_as_they_come(text: str, known: set[str]) -> set[str]:
    """The variables of `known` that a template adds, multiplies or compares without `int`."""
    tree = parsed(text)
    return {
        operand.name
        for kind in COUNTED
        for node in tree.find_all(kind)
        for operand in map(bare, operands(node))
        if isinstance(operand, nodes.Name) and operand.name in known
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ n // 2 }}", {"n"}),
        ("{% if 3 < n %}{% endif %}", {"n"}),
        ("{{ -n }}", {"n"}),
        ("{{ 2 * (n | default(300)) }}", {"n"}),
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
    assert in_files(root, counted_as_they_come, known) == set()


def taken_for_conditions(text: str, known: set[str]) -> set[str]:
    """The variables of `known` that a template takes for a condition without `bool`."""
    tree = parsed(text)
    conditions: list[nodes.Node] = [
        *(part.test for part in tree.find_all(nodes.If)),
        *(part.test for part in tree.find_all(nodes.CondExpr)),
        *(part.node for part in tree.find_all(nodes.Not)),
        *(part.left for kind in (nodes.And, nodes.Or) for part in tree.find_all(kind)),
        *(part.right for kind in (nodes.And, nodes.Or) for part in tree.find_all(kind)),
    ]
    # A bare condition of a task, and what another variable or an option is given.
    conditions += [part for output in tree.find_all(nodes.Output) for part in output.nodes]
    return {c.name for c in map(bare, conditions) if isinstance(c, nodes.Name) and c.name in known}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ 1 if b else 2 }}", {"b"}),
        ("{{ b }}", {"b"}),
        ("{% if not b %}{% endif %}", {"b"}),
        ("{{ x == 1 and b }}", {"b"}),
        ("{{ 1 if b | bool or c else 2 }}", set()),
        ("{{ b | default(false) }}", {"b"}),
        ("{{ b | default(false) | bool }}", set()),
    ],
)
def test_what_tests_a_variable_is_found(text: str, found: set[str]) -> None:
    assert taken_for_conditions(text, {"b"}) == found


def test_booleans_are_made_of_what_is_tested(root: Path) -> None:
    known = {name for name, (kind, _) in variables(root).items() if kind == "bool"}
    assert {"iscsi_multipath", "operator_renewal"} <= known
    assert in_files(root, taken_for_conditions, known) == set()


def variables(root: Path) -> dict[str, tuple[str, Any]]:
    """The numbers and booleans among the roles' variables, with types and defaults."""
    found = {}
    for path in (root / "roles").glob("*/meta/argument_specs.yml"):
        defaults = path.parent.parent / "defaults/main.yml"
        given = yaml.safe_load(defaults.read_text()) if defaults.exists() else {}
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                if option.get("type") in (*NUMBERS, "bool"):
                    found[name] = option["type"], given.get(name)
    return found


@pytest.mark.parametrize("truth", [False, True])
@pytest.mark.parametrize("name", HOSTS)
def test_texts_give_the_same_files_and_units_as_what_they_stand_for(
    make_model: Callable[..., Any], root: Path, name: str, truth: bool
) -> None:
    values = {
        variable: truth if kind == "bool" else default
        for variable, (kind, default) in variables(root).items()
        if kind == "bool" or (default is not None and "{{" not in str(default))
    }
    assert len(values) > 50
    texts = {n: str(v).lower() for n, v in values.items()}
    disks = {"swift_disks": [{"name": "d1", "device": "/dev/vdb"}]} if "storage" in name else {}
    made, from_texts = (
        make_model(name, 3, OPTIONAL, **given, **disks).manifests() for given in (values, texts)
    )
    assert parts(from_texts) == parts(made)


def parts(manifests: dict[str, Any]) -> dict[Any, Any]:
    """What a host gets, by role and name."""
    return {
        (role, key, item.get("path") or item.get("unit") if isinstance(item, dict) else ""): item
        for role, manifest in manifests.items()
        for key in ("files", "units", "migrations", "packages", "directories", "build")
        for item in manifest[key]
    } | {(role, "records", ""): manifest["records"] for role, manifest in manifests.items()}
