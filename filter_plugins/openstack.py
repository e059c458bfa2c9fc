"""Filters with which the OpenStack roles read the site's model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from cairn.service.dialects import systemd_word, yaml_text
from cairn.service.oslo import bracketed
from cairn.site.addresses import addresses


def ovsdb_remotes(site: Mapping[str, Any], port: int) -> list[str]:
    """Where a database of OVN is reached: `ssl:address:port` of every controller.

    `site` is cairn_site, `port` 6641 (northbound) or 6642 (southbound).
    """
    return [f"ssl:{bracketed(a)}:{port}" for a in addresses(site, group="controller")]


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


def newest_keys(
    answers: Sequence[Mapping[str, Any]], controllers: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The key repositories that every controller should have, from what each of them has.

    `answers` are the results of a loop over controllers: `item` is the name, `repositories` maps a
    path to {number: key} and is missing where a controller was skipped. Of each repository the one
    that was rotated last wins: the primary key is the one with the highest number. A repository
    that nobody has is left out, for new keys.

    AnsibleFilterError when a choice would make tokens or stored credentials unreadable: two
    controllers have different keys of one number, or nobody has keys but not everybody answered.
    """
    answers = [answer for answer in answers if "repositories" in answer]
    newest: dict[str, dict[str, str]] = {}
    holder: dict[str, str] = {}
    for answer in answers:
        for repository, keys in answer["repositories"].items():
            if not keys:
                continue
            known = newest.get(repository, {})
            rank, best = max(map(int, keys)), max(map(int, known), default=-1)
            if rank == best and keys[str(rank)] != known[str(rank)]:
                raise AnsibleFilterError(
                    f"{holder[repository]} and {answer['item']} have different keys number {rank} "
                    f"in {repository}: empty that folder where the keys are not to be kept"
                )
            if rank > best:
                newest[repository], holder[repository] = dict(keys), answer["item"]
    silent = sorted(set(controllers) - {answer["item"] for answer in answers})
    missing = sorted({path for answer in answers for path in answer["repositories"]} - set(newest))
    if missing and silent:
        raise AnsibleFilterError(
            f"no controller that answers has keys in {', '.join(missing)}, but "
            f"{', '.join(silent)} may: run again when all controllers answer"
        )
    return newest


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {
            "newest_keys": newest_keys,
            "ovsdb_remotes": ovsdb_remotes,
            "vlan_ranges": vlan_ranges,
            "systemd_word": systemd_word,
            "yaml_text": yaml_text,
        }
