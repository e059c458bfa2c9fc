"""What all scaffolds share: copies of templates, lines added to files, the words of the command.

A template is a file below templates/KIND/, at the path that the copy will have. Words in its path
and text stand for what the command names. `.template` at the end of its name keeps tools from
reading code that is not complete; the copy has no such ending.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
ENDING = ".template"
Change = Callable[[str], str]


class ScaffoldError(Exception):
    """What is wrong with the command, for the person at the terminal."""


def require_name(name: str, pattern: str, kind: str, example: str) -> None:
    """Refuse a name that does not match."""
    if not re.fullmatch(pattern, name):
        raise ScaffoldError(f"{name!r} is no name of a {kind}, such as {example}")


def require_new(root: Path, *paths: str) -> None:
    """Refuse to write over what is there."""
    for path in paths:
        if (root / path).exists():
            raise ScaffoldError(f"{path} is there already")


def copies(kind: str, words: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a scaffold: path to content. Longer words must precede their parts."""
    pattern = re.compile("|".join(map(re.escape, words)))

    def filled(text: str) -> str:
        return pattern.sub(lambda found: words[found.group()], text)

    folder = TEMPLATES / kind
    return {
        filled(str(path.relative_to(folder)).removesuffix(ENDING)): filled(path.read_text())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def changed(root: Path, changes: Mapping[str, Change]) -> dict[str, str]:
    """Return files that are there with a change each: path to content."""
    return {path: change((root / path).read_text()) for path, change in changes.items()}


def with_row(head: str, row: str) -> Change:
    """Return a change that adds a row to the table of a page that begins with `head`."""

    def change(page: str) -> str:
        before, begin, rest = page.partition(head)
        table, end, after = rest.partition("\n\n")
        if not begin:
            raise ScaffoldError(f"there is no table {head!r} to add a row to")
        return f"{before}{begin}{table}\n{row}{end}{after}"

    return change


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write the files; Python is sorted and formatted as lint wants it."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    python = [path for path in files if path.endswith(".py")]
    if python:
        for words in (["check", "--select=I", "--fix-only"], ["format"]):
            subprocess.run(["ruff", *words, "--quiet", *python], cwd=root, check=True)
