"""Options of neutron and OVN that are computed from the site's model. Control node only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..site.addresses import addresses
from .oslo import bracketed


def ovsdb_remotes(site: Mapping[str, Any], port: int) -> list[str]:
    """The remotes of an OVN database: `ssl:address:port` of every controller.

    `site` is cairn_site, `port` 6641 (northbound) or 6642 (southbound).
    """
    return [f"ssl:{bracketed(a)}:{port}" for a in addresses(site, group="controller")]


def vlan_ranges(networks: Mapping[str, Mapping[str, Any]], physical: str) -> list[str]:
    """Neutron's network_vlan_ranges for all provider networks of type vlan.

    `networks` is cairn_provider_networks. Without VLANs the value is `physical`, so that an
    administrator can still create VLAN networks by their id.
    """
    ranges = []
    for network in networks.values():
        if network["type"] != "vlan":
            continue
        for part in str(network["vlans"]).split(","):
            first, _, last = part.strip().partition("-")
            ranges.append(f"{physical}:{first}:{last or first}")
    return ranges or [physical]
