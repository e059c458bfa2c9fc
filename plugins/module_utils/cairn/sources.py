"""In which inventory file a variable stands, for errors that send the reader there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = ("", ".yml", ".yaml", ".json")


def variable_file(
    inventory: Path,
    variable: str,
    host: str = "",
    groups: Sequence[str] = (),
    *,
    certain: bool = False,
) -> str:
    """The file of an inventory directory that sets `variable` for `host`, as one would type it.

    Looks where Ansible does, strongest first: host_vars, group_vars of the host's groups,
    group_vars/all, the inventory's own files. Best effort: where nothing names the variable the
    answer is the file it should stand in, or "" when that cannot be told or, with `certain`, is
    not to be guessed.
    """
    candidates: list[Path] = []
    if host:
        candidates += _files(inventory / "host_vars", host)
    for group in (*groups, "all"):
        candidates += _files(inventory / "group_vars", group)
    candidates += _inventory_files(inventory)
    # Group and host variables stand at the margin; in inventory files they are indented.
    key = re.compile(rf"^\s*[\"']?{re.escape(variable)}[\"']?\s*[:=]", re.M)
    for path in candidates:
        if key.search(path.read_text(errors="replace")):
            return _typed(path)
    return _typed(candidates[0]) if host and candidates and not certain else ""


def _files(folder: Path, name: str) -> list[Path]:
    found = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    files = [p for p in found if p.is_file()]
    if (folder / name).is_dir():
        files += sorted(p for p in (folder / name).rglob("*") if p.is_file())
    return files


def _inventory_files(inventory: Path) -> list[Path]:
    return sorted(p for p in inventory.iterdir() if p.is_file()) if inventory.is_dir() else []


def variable_files(inventory: Path) -> Iterator[Path]:
    """Every file of host_vars, group_vars and the inventory's top that may set variables."""
    for folder in ("host_vars", "group_vars"):
        if (inventory / folder).is_dir():
            yield from sorted(p for p in (inventory / folder).rglob("*") if p.is_file())
    yield from _inventory_files(inventory)


def _typed(path: Path) -> str:
    """Relative to the working directory where it lies below it."""
    here = Path.cwd()
    resolved = path.resolve()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else path)
