"""Variables that were given another name, and the former names that an inventory may still use.

Vars plugins give present names the values of former ones, group by group and host by host, as
Ansible reads them. Preflight warns of every former name.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Renamed(NamedTuple):
    """The present name of a variable, and the release of Cairn that forgets the former one."""

    name: str
    until: str


@functools.cache
def table() -> Mapping[str, Renamed]:
    """Every former name."""
    data = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())
    return {former: Renamed(**entry) for former, entry in data.items()}


def names_of(variable: str) -> list[str]:
    """All names of a variable, the present one first."""
    return [variable, *(former for former, entry in table().items() if entry.name == variable)]


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """What former names among `values` say, by present names that are not among them."""
    return {
        entry.name: values[former]
        for former, entry in table().items()
        if former in values and entry.name not in values
    }


def stated(values: Mapping[str, Any]) -> set[str]:
    """The names of `values` but for present ones that `present` has added to them."""
    added = {
        entry.name
        for former, entry in table().items()
        if former in values and values.get(entry.name) is values[former]
    }
    return set(values) - added


def used(names: Iterable[str]) -> dict[str, bool]:
    """The former names in an inventory's `names`; true where the present one is there, too."""
    known = set(names)
    return {former: entry.name in known for former, entry in table().items() if former in known}
