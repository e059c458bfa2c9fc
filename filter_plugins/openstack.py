"""Filters with which the OpenStack roles read the site's model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

Keys = Mapping[str, Mapping[str, str]]


def ovsdb_remotes(site: Mapping[str, Any], port: int) -> list[str]:
    """Where a database of OVN is reached: `ssl:address:port` of every controller.

    `site` is cairn_site, `port` 6641 (northbound) or 6642 (southbound).
    """
    addresses = [
        site["hosts"][name]["addresses"]["management"] for name in site["groups"]["controller"]
    ]
    return [f"ssl:[{a}]:{port}" if ":" in a else f"ssl:{a}:{port}" for a in addresses]


def vlan_ranges(networks: Mapping[str, Mapping[str, Any]], physical: str) -> list[str]:
    """What neutron's network_vlan_ranges says of all provider networks of type vlan.

    `networks` is cairn_provider_networks; `physical` alone where none has VLANs of its own, so that
    an administrator may still name one.
    """
    ranges = []
    for network in networks.values():
        if network["type"] != "vlan":
            continue
        for part in str(network["vlans"]).split(","):
            first, _, last = part.strip().partition("-")
            ranges.append(f"{physical}:{first}:{last or first}")
    return ranges or [physical]


def newest_keys(answers: Mapping[str, Keys]) -> dict[str, dict[str, str]]:
    """The key repositories that all controllers should have, from what each of them has.

    `answers` maps a controller to {repository: {name: key}}. Of each repository the one that was
    rotated last wins: the primary key is the one with the highest number. Empty where nobody has
    keys yet. AnsibleFilterError when two controllers have different primary keys of one number:
    either choice would make tokens or stored credentials unreadable.
    """
    newest: dict[str, dict[str, str]] = {}
    holder: dict[str, str] = {}
    for name, repositories in answers.items():
        for repository, keys in repositories.items():
            if not keys:
                continue
            rank, known = max(map(int, keys)), max(map(int, newest.get(repository, {"-1": ""})))
            if rank == known and keys[str(rank)] != newest[repository][str(rank)]:
                raise AnsibleFilterError(
                    f"{holder[repository]} and {name} have different keys {rank} in {repository}: "
                    "remove that folder's files on the controller whose keys are not to be kept"
                )
            if rank > known:
                newest[repository], holder[repository] = dict(keys), name
    return newest


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {
            "newest_keys": newest_keys,
            "ovsdb_remotes": ovsdb_remotes,
            "vlan_ranges": vlan_ranges,
        }
