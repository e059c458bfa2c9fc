"""Addresses of a group are picked in one place, in the order of the inventory."""

from __future__ import annotations

import re
from pathlib import Path

from cairn.site.addresses import addresses

SITE = {
    "hosts": {
        "b": {"addresses": {"management": "m1", "storage": "s1"}},
        "a": {"addresses": {"management": "m2"}},
        "c": {"addresses": {"management": "m3", "storage": "s3"}},
    },
    "groups": {"controller": ["b", "a"], "compute": ["c"]},
}


def test_addresses_of_all_and_of_a_group() -> None:
    assert addresses(SITE) == ["m1", "m2", "m3"]
    assert addresses(SITE, "management", "controller") == ["m1", "m2"]
    assert addresses(SITE, group="network") == []


def test_a_host_that_is_not_on_the_plane_has_none_there() -> None:
    assert addresses(SITE, "storage") == ["s1", "s3"]
    assert addresses(SITE, "storage", "controller") == ["s1"]


def test_no_role_or_filter_picks_addresses_of_a_group_itself(root: Path) -> None:
    itself = re.compile(
        r"attribute='addresses"  # Jinja's map
        r"|for \w+ in site\[.groups.\][^\n]*\n?[^\n]*addresses"
        r"|\[.addresses.\]\[[^\]]+\]\s+for \w+ in site"
    )
    places = (
        path
        for folder in ("roles", "playbooks", "filter_plugins", "cairn", "plugins/action")
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".yml", ".j2") and path != root / "cairn/site/addresses.py"
    )
    assert [str(path) for path in places if itself.search(path.read_text())] == []
