"""Swift's rings, policies, realms and mounts, from inventory data. Control node only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cairn_host.storage import object_disks, rings

from ..errors import CairnError

REALM = re.compile(r"[A-Za-z0-9_-]+")


def swift_rings(
    site: Mapping[str, Any],
    hostvars: Mapping[str, Any],
    policies: Sequence[Mapping[str, Any]],
    shape: Mapping[str, Any],
) -> dict[str, Any]:
    """Every ring of the site, as `rings.wanted_rings` returns it, with the hosts' swift_disks.

    `shape`: part_power, replicas and min_part_hours. CairnError with all problems.
    """
    problems = rings.policy_problems(policies)
    hosts = {}
    for name in site["groups"].get("storage", []):
        variables = hostvars.get(name, {})
        address = site["hosts"][name]["addresses"].get("storage")
        if address is None:
            problems.append(f"{name}: has no address on the plane storage, which carries objects")
            continue
        hosts[name] = {
            "address": address,
            "region": variables.get("swift_region", 1),
            "zone": variables.get("swift_zone", 1),
            "disks": variables.get("swift_disks", []),
        }
    if problems:
        raise CairnError("\n".join(problems))
    return rings.wanted_rings(hosts, policies, **shape)


def swift_policies(policies: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The sections of swift.conf for storage policies."""
    sections: dict[str, dict[str, Any]] = {}
    for policy in policies:
        options = {"name": policy["name"], "policy_type": policy.get("type") or "replication"}
        if policy.get("default"):
            options["default"] = True
        if policy.get("deprecated"):
            options["deprecated"] = True
        if options["policy_type"] == "erasure_coding":
            options |= {
                "ec_type": policy.get("ec_type") or "isa_l_rs_vand",
                "ec_num_data_fragments": policy["data_fragments"],
                "ec_num_parity_fragments": policy["parity_fragments"],
            }
            if policy.get("duplication"):
                options["ec_duplication_factor"] = policy["duplication"]
        sections[f"storage-policy:{policy['index']}"] = options
    return sections


def swift_sync_realms(realms: Mapping[str, Any]) -> str:
    """The content of container-sync-realms.conf; CairnError with all problems.

    A realm has `key`, optionally `key2`, and `clusters`, name to URL; see swift's
    ContainerSyncRealms.
    """
    problems, lines = [], []
    for name, realm in realms.items():
        where = f"swift_sync_realms.{name}"
        if not REALM.fullmatch(str(name)):
            problems.append(f"{where}: a realm's name consists of letters, digits, - and _")
        if not isinstance(realm, Mapping):
            problems.append(f"{where}: needs key and clusters")
            continue
        unknown = sorted(set(realm) - {"key", "key2", "clusters"})
        problems += [f"{where}: unknown {key!r}; it has key, key2 and clusters" for key in unknown]
        if not realm.get("key"):
            problems.append(f"{where}: needs a key, the secret that its clusters share")
        clusters = realm.get("clusters") or {}
        if not clusters:
            problems.append(f"{where}: needs clusters, URL by name")
        lines += [
            f"[{name}]",
            *(f"{key} = {realm[key]}" for key in ("key", "key2") if key in realm),
        ]
        for cluster, url in clusters.items():
            if not str(url).startswith(("http://", "https://")):
                problems.append(f"{where}.clusters.{cluster}: {url!r} is no URL")
            lines.append(f"cluster_{cluster} = {url}")
    if problems:
        raise CairnError("; ".join(problems))
    return "\n".join(lines) + "\n"


def swift_known(hostvars: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    """The builders, rings and disks of each host of the service that was asked."""
    hosts = [*site["groups"].get("controller", []), *site["groups"].get("storage", [])]
    answers = {name: hostvars.get(name, {}).get("__swift_known") for name in dict.fromkeys(hosts)}
    return {name: answer for name, answer in answers.items() if answer and "rings" in answer}


def swift_mounts(
    disks: Sequence[Mapping[str, Any]], host: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The mounts of a host's disks, without disks that are missing or marked as failed."""
    return [
        {
            "what": f"/dev/disk/by-label/{object_disks.label(disk['name'])}",
            "where": f"/srv/node/{disk['name']}",
            "type": "xfs",
            "options": "noatime,nodiratime,logbufs=8",
        }
        for disk in object_disks.usable(disks, host)
    ]
