"""What pyproject.toml declares is used, what is used is declared, and the lock holds all of it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cairn.service import registry

# What runs on the control node; what ships to hosts has only what Debian has there.
SHIPPED = ("cairn", "plugins/action", "plugins/callback", "plugins/vars", "filter_plugins", "lab")
TOOLS = ("tools", "bench")
# Used without an import: what shows it, and where.
BY_NAME = {
    "ansible": (r"\bansible\.posix\.\w+:", "roles/base/tasks/operators.yml"),
    "python-openstackclient": (r"\bopenstack server\b", "docs"),
    "uv": (r'with_name\("uv"\)', "cairn/actions/building.py"),
}
# Commands of `openstack` for the operator: to the role whose service they are for.
COMMANDS = {"gnocchiclient": "gnocchi", "osc-placement": "placement", "python-heatclient": "heat"}
# They come with another that is declared, and are a part of its interface.
WITH = {"requests": "openstacksdk", "keystoneauth1": "openstacksdk"}


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())
    return read


@pytest.fixture(scope="module")
def declared(project: dict[str, Any]) -> set[str]:
    return {canonicalize_name(Requirement(t).name) for t in project["project"]["dependencies"]}


def imports(path: Path) -> Iterator[str]:
    """The packages that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.fixture(scope="module")
def imported(root: Path) -> dict[str, set[str]]:
    """Distribution to the files on the control node that import it."""
    known = packages_distributions()
    found: dict[str, set[str]] = {}
    for folder in (*SHIPPED, *TOOLS):
        for path in (root / folder).rglob("*.py"):
            if path.is_relative_to(root / "tools/scaffold/templates"):  # a role to be
                continue
            for name in imports(path):
                for distribution in known.get(name, ()):
                    place = str(path.relative_to(root))
                    found.setdefault(canonicalize_name(distribution), set()).add(place)
    return found


def texts(place: Path) -> Iterator[str]:
    paths = place.rglob("*.md") if place.is_dir() else [place]
    return (path.read_text() for path in paths)


def test_every_declared_dependency_is_used(
    root: Path, declared: set[str], imported: dict[str, set[str]]
) -> None:
    for name, (pattern, where) in BY_NAME.items():
        assert any(re.search(pattern, text) for text in texts(root / where)), f"{name} is unused"
    extending = {e.dist.name for e in entry_points(group="openstack.cli.extension") if e.dist}
    for name, role in COMMANDS.items():
        assert name in extending, f"{name} has no commands for openstack"
        assert role in registry.descriptions(), f"{name} is for a service that is not deployed"
    by_import = {
        name
        for name, files in imported.items()
        if any(file.startswith(f"{folder}/") for file in files for folder in SHIPPED)
    }
    assert sorted(declared - by_import - set(BY_NAME) - set(COMMANDS)) == []
    assert {*BY_NAME, *COMMANDS} <= declared


def test_every_import_is_declared(declared: set[str], imported: dict[str, set[str]]) -> None:
    assert set(WITH.values()) <= declared
    known = declared | set(WITH) | {"cairn"}
    assert {name: sorted(files) for name, files in imported.items() if name not in known} == {}


def test_the_lock_has_every_declared_package_at_a_version_that_fits(
    root: Path, project: dict[str, Any]
) -> None:
    locked = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (root / "requirements.lock").read_text()))
    for text in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        wanted = Requirement(text)
        version = locked.get(canonicalize_name(wanted.name))
        assert version, f"{text} is not in requirements.lock; run: make lock"
        assert wanted.specifier.contains(version), f"{text}, but the lock has {version}"
