"""Renamed variables, whose former names inventories may still use.

Vars plugins set the present names to the values of former ones, for each group and host. Preflight
warns about every former name.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import plain_yaml


class Renamed(NamedTuple):
    """The present name of a variable, and the release of Cairn that drops the former one."""

    name: str
    until: str


@functools.cache
def table() -> Mapping[str, Renamed]:
    """Every former name."""
    data = plain_yaml.load(Path(__file__).with_suffix(".yml").read_text())
    return {former: Renamed(**entry) for former, entry in data.items()}


def names_of(variable: str) -> list[str]:
    """All names of a variable, the present one first."""
    return [variable, *(former for former, entry in table().items() if entry.name == variable)]


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of former names in `values`, by present names that are not set."""
    return {
        entry.name: values[former]
        for former, entry in table().items()
        if former in values and entry.name not in values
    }


def stated(values: Mapping[str, Any]) -> set[str]:
    """The names of `values` without those that `present` has added."""
    added = {
        entry.name
        for former, entry in table().items()
        if former in values and values.get(entry.name) is values[former]
    }
    return set(values) - added


def used(names: Iterable[str]) -> dict[str, bool]:
    """The former names among an inventory's `names`; true if the present name is set, too."""
    known = set(names)
    return {former: entry.name in known for former, entry in table().items() if former in known}
