"""Filters that make swift's configuration and rings of inventory data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from cairn_host.storage import object_disks, rings

REALM = re.compile(r"[A-Za-z0-9_-]+")


def swift_rings(
    site: Mapping[str, Any],
    hostvars: Mapping[str, Any],
    policies: Sequence[Mapping[str, Any]],
    shape: Mapping[str, Any],
) -> dict[str, Any]:
    """Every ring of the site as `cairn.rings` wants it; hosts' disks come from their variables.

    `shape`: part_power, replicas and min_part_hours. AnsibleFilterError with all that is wrong.
    """
    problems = rings.policy_problems(policies)
    hosts = {}
    for name in site["groups"].get("storage", []):
        known = hostvars.get(name, {})
        address = site["hosts"][name]["addresses"].get("storage")
        if address is None:
            problems.append(f"{name}: has no address on the plane storage, which objects go over")
            continue
        hosts[name] = {
            "address": address,
            "region": known.get("swift_region", 1),
            "zone": known.get("swift_zone", 1),
            "disks": known.get("swift_disks", []),
        }
    if problems:
        raise AnsibleFilterError("\n".join(problems))
    found: dict[str, Any] = rings.wanted_rings(hosts, policies, **shape)
    return found


def swift_policies(policies: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The sections of swift.conf for the storage policies."""
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
    """The content of container-sync-realms.conf; AnsibleFilterError with all that is wrong with it.

    A realm has `key`, perhaps `key2`, and `clusters`, URL by name; swift's ContainerSyncRealms.
    """
    problems, lines = [], []
    for name, realm in realms.items():
        where = f"swift_sync_realms.{name}"
        if not REALM.fullmatch(str(name)):
            problems.append(f"{where}: a realm's name has letters, digits, - and _ only")
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
        raise AnsibleFilterError("; ".join(problems))
    return "\n".join(lines) + "\n"


def swift_known(hostvars: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    """What each host of the service says of builders, rings and disks, as far as it was asked."""
    hosts = [*site["groups"].get("controller", []), *site["groups"].get("storage", [])]
    asked = {name: hostvars.get(name, {}).get("__swift_known") for name in dict.fromkeys(hosts)}
    return {name: told for name, told in asked.items() if told and "rings" in told}


def swift_mounts(
    disks: Sequence[Mapping[str, Any]], host: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The mounts of a host's disks, but for those that are missing or failed just now."""
    return [
        {
            "what": f"/dev/disk/by-label/{object_disks.label(disk['name'])}",
            "where": f"/srv/node/{disk['name']}",
            "type": "xfs",
            "options": "noatime,nodiratime,logbufs=8",
        }
        for disk in object_disks.usable(disks, host)
    ]


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {
            "swift_known": swift_known,
            "swift_mounts": swift_mounts,
            "swift_policies": swift_policies,
            "swift_rings": swift_rings,
            "swift_sync_realms": swift_sync_realms,
        }
