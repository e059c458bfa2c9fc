"""Filters of the OpenStack roles."""

from __future__ import annotations

from typing import Any

import pytest

from cairn.errors import CairnError
from cairn.service.keys import newest_keys
from cairn.service.neutron import ovsdb_remotes, vlan_ranges

FERNET = "/keys/fernet"


def answer(item: str, **keys: str) -> dict[str, Any]:
    return {"item": item, "repositories": {FERNET: {name[1:]: key for name, key in keys.items()}}}


def test_every_controllers_database_is_named_with_its_port() -> None:
    site = {
        "groups": {"controller": ["c1", "c2"]},
        "hosts": {
            "c1": {"addresses": {"management": "192.0.2.1"}},
            "c2": {"addresses": {"management": "2001:db8::2"}},
        },
    }
    assert ovsdb_remotes(site, 6642) == ["ssl:192.0.2.1:6642", "ssl:[2001:db8::2]:6642"]


@pytest.mark.parametrize(
    ("networks", "ranges"),
    [
        ({"e": {"type": "flat"}, "v": {"type": "vlan", "vlans": "100-199"}}, ["p:100:199"]),
        ({"v": {"type": "vlan", "vlans": 150}}, ["p:150:150"]),
        ({"v": {"type": "vlan", "vlans": "5, 7-9"}}, ["p:5:5", "p:7:9"]),
        ({"e": {"type": "flat"}}, ["p"]),
    ],
)
def test_vlans_of_provider_networks_become_neutrons_ranges(
    networks: dict[str, Any], ranges: list[str]
) -> None:
    assert vlan_ranges(networks, "p") == ranges


def test_a_new_controller_takes_the_keys_that_were_rotated_last() -> None:
    answers = [answer("c1"), answer("c2", _0="s", _1="a", _2="b"), answer("c3", _0="b", _1="a")]
    chosen = newest_keys(answers, ["c1", "c2", "c3"])
    assert chosen == {FERNET: {"0": "s", "1": "a", "2": "b"}}


def test_a_new_cloud_gets_new_keys() -> None:
    assert newest_keys([answer("c1"), answer("c2")], ["c1", "c2"]) == {}


def test_no_new_keys_are_made_while_a_controller_that_may_have_some_is_silent() -> None:
    skipped = {"item": "c2", "skipped": True}
    with pytest.raises(CairnError, match="c2 may: run again"):
        newest_keys([answer("c1"), skipped], ["c1", "c2"])


def test_a_silent_controller_does_not_matter_where_another_has_keys() -> None:
    skipped = {"item": "c2", "skipped": True}
    chosen = newest_keys([answer("c1", _1="a"), skipped], ["c1", "c2"])
    assert chosen == {FERNET: {"1": "a"}}


def test_two_clouds_keys_are_not_mixed() -> None:
    with pytest.raises(CairnError, match="c1 and c2 have different keys 1 in"):
        newest_keys([answer("c1", _1="a"), answer("c2", _1="b")], ["c1", "c2"])
