"""Batches that the inventory says are those that plays take: Ansible's `serial` knows no host."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from .conftest import Write

ROOT = Path(__file__).resolve().parents[3]
PLAYS = [
    play
    for name in ("site.yml", "rollback.yml")
    for play in yaml.safe_load((ROOT / "playbooks" / name).read_text())
    if "_batches" in str(play.get("serial"))
]


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: str(play["name"]))
def test_plays_ask_hosts_for_their_batches(play: dict[str, str]) -> None:
    direct = re.sub(r"stated\('\w+_batches'", "", str(play["serial"]))
    assert "_batches" not in direct


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"group_vars/all.yml": "cairn_batches: 20%\n"}, "20%"),
        ({"group_vars/storage.yml": "cairn_batches: [1, 5]\n"}, [1, 5]),
        ({}, None),
    ],
)
def test_the_inventorys_value_is_found(
    hostvars: Write, script: Callable[[str], ModuleType], files: dict[str, str], expected: object
) -> None:
    found = hostvars({"hosts.yml": "storage: {hosts: {s1: , s2: }}\n", **files})
    stated = script("filter_plugins/planes.py").stated
    assert stated(found, "cairn_batches", ["s1", "s2"]) == expected
    assert stated(found, "cairn_batches", []) is None
