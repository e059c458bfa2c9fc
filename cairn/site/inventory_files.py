"""The inventory file in which a variable is set, for error messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.parsing.dataloader import DataLoader

from . import renamed

SUFFIXES = ("", ".yml", ".yaml", ".json")


def loader_of_variables(loader: DataLoader) -> Callable[[str], Any]:
    """The loader as Ansible reads such files (plugins/vars/host_group_vars.py): from one cache."""
    return partial(loader.load_from_file, cache="all", unsafe=True, trusted_as_template=True)


def unreadable(
    sources: Iterable[str | Path],
    groups: Iterable[str],
    hosts: Iterable[str],
    load: Callable[[str], Any],
) -> list[str]:
    """What is wrong with files of variables beside inventories, each with its file and line.

    sources: inventories, as given with -i. groups, hosts: their names. load: reads a file, with
    Ansible's errors. Ansible itself ends with an error that names no file (vars/manager.py,
    ansible-core 2.20). Files that Ansible does not read, such as a README, are not judged.
    """
    places = dict.fromkeys(
        path if path.is_dir() else path.parent for path in map(Path, sources) if path.exists()
    )
    owners = [("group_vars", name) for name in groups] + [("host_vars", name) for name in hosts]
    found = []
    for path in (
        p for place in places for kind, name in owners for p in _files(place / kind, name)
    ):
        try:
            load(str(path))
        except AnsibleParserError as error:
            mark = getattr(error.__cause__, "problem_mark", None)  # of PyYAML, counted from 0
            where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
            problem = str(error).partition("\n")[0].removeprefix("YAML parsing failed: ")
            found.append(f"{where}: {problem}")
        except AnsibleError:
            continue  # a vault that the passwords do not open; it may be another host's
    return found


def variable_file(
    inventory: Path,
    variable: str,
    host: str = "",
    groups: Sequence[str] = (),
    *,
    certain: bool = False,
) -> str:
    """The file of an inventory directory that sets `variable` for `host`, as one would type it.

    Looks where Ansible does, strongest first: host_vars, group_vars of the host's `groups` (which
    are given in this order, too), group_vars/all, the inventory's own files. Best effort: where
    nothing names the variable the answer is the file it should stand in, or "" when that is
    unknown or, with `certain`, would be a guess.
    """
    candidates: list[Path] = []
    if host:
        candidates += _files(inventory / "host_vars", host)
    for group in (*groups, "all"):
        candidates += _files(inventory / "group_vars", group)
    candidates += _inventory_files(inventory)
    # Group and host variables stand at the margin; in inventory files they are indented.
    names = "|".join(map(re.escape, renamed.names_of(variable)))
    key = re.compile(rf"^\s*[\"']?(?:{names})[\"']?\s*[:=]", re.M)
    for path in candidates:
        if key.search(path.read_text(errors="replace")):
            return typed(path)
    expected = _files(inventory / "host_vars", host)[-1:] if host else []
    return typed((expected or candidates)[0]) if host and candidates and not certain else ""


def _files(folder: Path, name: str) -> list[Path]:
    """The files that Ansible reads for a group or host, strongest first."""
    return [Path(path) for path in reversed(DataLoader().find_vars_files(str(folder), name))]


def _inventory_files(inventory: Path) -> list[Path]:
    return sorted(p for p in inventory.iterdir() if p.is_file()) if inventory.is_dir() else []


def variable_files(inventory: Path) -> Iterator[tuple[str, str, str]]:
    """Files and folders for groups and hosts: `group` or `host`, its name, and the path.

    Files with other suffixes (a backup, a README.md) and folders without files are ignored.
    """
    for kind in ("group", "host"):
        folder = inventory / f"{kind}_vars"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name.startswith("."):
                continue
            if path.is_dir() and any(p.is_file() for p in path.rglob("[!.]*")):
                yield kind, path.name, typed(path)
            elif path.is_file() and path.suffix in SUFFIXES:
                yield kind, path.stem, typed(path)


def shadowed_files(inventory: Path) -> Iterator[tuple[str, str]]:
    """Files that Ansible ignores, each with the file or folder that it reads instead.

    Of `compute/`, `compute.yml` and `compute.json` it reads the first that exists.
    """
    for kind in ("group", "host"):
        folder = inventory / f"{kind}_vars"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name.startswith(".") or not path.is_file() or path.suffix not in SUFFIXES[1:]:
                continue
            read = DataLoader().find_vars_files(str(folder), path.stem)
            if read and str(path) not in read:
                instead = folder / path.stem
                yield typed(path), typed(instead if instead.is_dir() else Path(read[0]))


def typed(path: Path) -> str:
    """A path relative to the working directory, if it is below it."""
    here = Path.cwd()
    resolved = path.resolve()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else path)
