"""Where variables are read: files of the project, and their effects on hosts."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .. import PROJECT
from ..service import registry

SOURCES = (
    "roles/*/*/**/*",
    "playbooks/**/*.yml",
    "cairn/**/*.py",
    "plugins/**/*.py",
    "filter_plugins/*.py",
    "tools/*",
    "lab/*.py",
)
# Files that declare variables and their defaults.
DECLARATIONS = ("meta/argument_specs.yml", "site/variables.yml", "variable_types.py")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
JINJA = re.compile(r"\{\{|\{%")
ANYTHING = "[a-z]+"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML with any tags, by libyaml if it is installed."""


Loader.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def texts(value: Any) -> Iterator[str]:
    """All texts in plain data: values, and keys that are templates."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str) and JINJA.search(key):
                yield key
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def words(value: Any, *, jinja: bool = True) -> set[str]:
    """All names in the texts of plain data; with `jinja` only those in templates."""
    found: set[str] = set()
    for text in texts(value):
        if not jinja or JINJA.search(text):
            found.update(WORD.findall(text))
    return found


def load(path: Path) -> Any:
    """A YAML file; {} without one."""
    return (yaml.load(path.read_text(), Loader) or {}) if path.exists() else {}  # noqa: S506


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """The names that a file reads.

    In Python code these are texts that consist of a name, and templates, but not docstrings and
    messages. In a file that sets variables these are the names in their values.
    """
    text = path.read_text()
    if path.suffix == ".py" or text.startswith("#!/usr/bin/env python"):
        return frozenset(_names_in_python(ast.parse(text)))
    if path.suffix in (".yml", ".yaml"):
        read = load(path)
        if path.parent.name in ("defaults", "vars") and isinstance(read, Mapping):
            read = list(read.values())
        return frozenset(words(read, jinja=False))
    return frozenset(WORD.findall(re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)))


def _names_in_python(tree: ast.AST) -> Iterator[str]:
    nodes = list(ast.walk(tree))
    # Docstrings and texts beside constants.
    prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and (pattern := _pattern(node)):
            yield from (name for name in known() if pattern.fullmatch(name))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        ):
            if WORD.fullmatch(node.value):
                yield node.value
            elif JINJA.search(node.value):
                yield from WORD.findall(node.value)


def _pattern(text: ast.JoinedStr) -> re.Pattern[str] | None:
    """A pattern of the names that an f-string such as f"cairn_{side}_name" can make."""
    parts = [
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else _filling(part)
        for part in text.values
    ]
    literal = "".join(str(p.value) for p in text.values if isinstance(p, ast.Constant))
    if not WORD.fullmatch(literal) or parts[-1] == ANYTHING or len(literal) < len("_name"):
        return None
    return re.compile("".join(parts))


def _filling(part: ast.expr) -> str:
    """A pattern of a variable in an f-string: a side is internal or public."""
    name = part.value if isinstance(part, ast.FormattedValue) else part
    return "(internal|public)" if isinstance(name, ast.Name) and name.id == "side" else ANYTHING


@functools.cache
def known() -> frozenset[str]:
    """All variables that an inventory may set."""
    return frozenset(registry.variables()[0])


@functools.cache
def sources() -> tuple[Path, ...]:
    """All files that may read variables."""
    found = []
    for pattern in SOURCES:
        for path in sorted(PROJECT.glob(pattern)):
            name = path.relative_to(PROJECT).as_posix()
            if (
                path.is_file()
                and not name.endswith(DECLARATIONS)
                and "__pycache__" not in name
                and not name.startswith("cairn/reference/")
            ):
                found.append(path)
    return tuple(found)


def readers(name: str) -> list[str]:
    """The files that read a variable, relative to the project."""
    return _readers().get(name, [])


@functools.cache
def _readers() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sources():
        place = path.relative_to(PROJECT).as_posix()
        for name in _names(path):
            found.setdefault(name, []).append(place)
    return found


def _names(path: Path) -> frozenset[str]:
    try:
        return names_in(path)
    except (SyntaxError, UnicodeDecodeError):  # a template that is not yet Python, a binary
        return frozenset(WORD.findall(path.read_text(errors="replace")))


# --- the effects of a variable on hosts ---------------------------------------------------------


class Role:
    """A role's description, and its parts by the variables on which they depend."""

    def __init__(self, name: str) -> None:
        """Read the role's files."""
        folder = PROJECT / "roles" / name
        self.name = name
        own = load(folder / "vars/main.yml")
        self.described = own.get(f"{name}_service") or {}
        self.templates = folder / "templates"
        values = {**load(folder / "defaults/main.yml"), **own}
        values.pop(f"{name}_service", None)
        self._refers = {key: words(value) for key, value in values.items()}

    def reach(self, names: Iterable[str]) -> set[str]:
        """These names and the names in their values."""
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self._refers.get(name, ())
        return seen

    def place(self, path: str) -> str:
        """A file's path on a host."""
        return path if path.startswith(("/", "{")) else f"/etc/{self.name}/{path}"

    def targets(self) -> dict[str, dict[str, None]]:
        """Variable to the files, units and other things of hosts that depend on it."""
        found: dict[str, dict[str, None]] = {}

        def note(target: str, *values: Any) -> None:
            for name in self.reach(set().union(*(words(value) for value in values))):
                found.setdefault(name, {})[target] = None

        described = self.described
        for entry in described.get("config") or ():
            note(self.place(entry["file"]), entry)
            found.setdefault(f"{self.name}_config", {})[self.place(entry["file"])] = None
        files = described.get("files")
        for entry in files if isinstance(files, list) else ():
            template = self.templates / str(entry.get("template", ""))
            text = template.read_text() if template.is_file() else ""
            path = self.place(entry["path"])
            if JINJA.search(path):
                path = "further files"
            note(path, entry, text)
        units = described.get("units")
        if isinstance(units, Mapping):
            for name, unit in units.items():
                note(name if "." in name else f"{name}.service", unit)
        kinds = {"packages": "Debian packages", "directories": "folders", "mounts": "mounts"}
        kinds |= {"databases": "databases", "catalog": "the catalog", "queue": "queues"}
        for key, title in kinds.items():
            note(title, described.get(key) or {})
        return found


@functools.cache
def targets() -> dict[str, tuple[str, ...]]:
    """Variable to the files, units and other things of hosts that depend on it."""
    found: dict[str, dict[str, None]] = {}
    for name in registry.roles():
        for variable, where in Role(name).targets().items():
            found.setdefault(variable, {}).update(where)
    return {variable: tuple(where) for variable, where in found.items()}
