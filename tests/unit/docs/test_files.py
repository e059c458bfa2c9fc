"""docs/reference/files.md has every file and folder of Cairn's that code names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn import PROJECT
from cairn.reference import contents, files

PAGE = files.files_page()
PLACES = [*files.ON_CONTROL_NODE, *files.ON_HOSTS]
# Below Debian's folders, what is named after Cairn.
OURS = re.compile(r"(?<![\w}])/(?:etc|opt|run|usr/local|var)/(?:[a-z-]+/)*cairn(?:[\w./-]*\w)?")
SHIPPED = ("plugins/modules", "plugins/module_utils", "roles", "playbooks")
# In examples of a module's documentation.
EXAMPLES = {"/etc/cairn/clouds.yaml", "/run/cairn/verify.json"}


def named_by_code() -> Iterator[tuple[str, str]]:
    """Path and the file that names it."""
    for folder in SHIPPED:
        for source in sorted((PROJECT / folder).rglob("*")):
            if source.is_file() and source.suffix != ".pyc":
                for path in OURS.findall(source.read_text()):
                    yield path, str(source.relative_to(PROJECT))


NAMED = dict(named_by_code())


def on_page(path: str) -> bool:
    """Whether the page has a path, a folder around it, or something in it."""
    listed = re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE) + re.findall(r"`(/[^`]+)`", PAGE)
    path = re.sub(r"(?<=/services/)[a-z]+", "ROLE", path)
    return any(
        path == one or path.startswith(f"{one.rstrip('/')}/") or one.startswith(f"{path}/")
        for one in listed
    )


def test_paths_are_found() -> None:
    assert {"/var/lib/cairn", "/etc/cairn/tls", "/opt/cairn/uv", "/run/cairn/drained"} <= set(NAMED)


@pytest.mark.parametrize("path", sorted(set(NAMED) - EXAMPLES))
def test_a_path_that_code_names_is_on_the_page(path: str) -> None:
    assert on_page(path), f"{NAMED[path]} names {path}: cairn/reference/files.py"


def test_a_path_that_nothing_lists_is_not_on_the_page() -> None:
    assert not on_page("/var/lib/cairn-other")
    assert not on_page("/etc/cairn/tlsx")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_every_file_of_a_manifest_is_on_the_page(kind: str) -> None:
    missing = [thing.name for thing in contents.of(kind) if f"| `{thing.name}` |" not in PAGE]
    assert missing == []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place.path))
def test_a_place_says_all_that_an_operator_asks(place: files.Place) -> None:
    assert place.what
    assert place.advice
    assert re.fullmatch(r"[0-7]{4}|link", place.mode)
    assert place.owner == "you" or re.fullmatch(r"[a-z]+:[a-z-]+", place.owner)


def test_files_with_secrets_are_marked() -> None:
    marked = re.findall(r"^\| `([^`]+)` .* yes \|$", PAGE, re.MULTILINE)
    assert "/etc/keystone/keystone.conf" in marked
    assert "/etc/hosts" not in marked
    assert not any(Path(path).suffix == ".service" for path in marked)
