"""Checks of the inventory's disks and shares for storage services."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from cairn_host.storage.object_disks import WRONG
from cairn_host.storage.object_disks import judge as judge_disk
from cairn_host.storage.volume_group import Disk
from cairn_host.storage.volume_group import plan as plan_volume_group

from .finding import ERROR, WARNING, Finding


def check_object_disks(
    name: str, host: Mapping[str, Any], disks: Iterable[Mapping[str, Any]]
) -> list[Finding]:
    """Disks for objects exist, and hold no other data."""
    found, seen = [], set()
    for disk in disks:
        for what in (disk["name"], disk["device"]):
            if what in seen:
                text = f"{what} is in swift_disks twice"
                found.append(Finding(ERROR, "disks", text, "name each disk once", name))
            seen.add(what)
        judged = judge_disk(disk, host)
        if judged.text:
            severity = ERROR if judged.state == WRONG else WARNING
            found.append(Finding(severity, "disks", judged.text, judged.remedy, name))
    return found


def check_volume_group(
    name: str, host: Mapping[str, Any], group: str, disks: Sequence[Disk]
) -> list[Finding]:
    """The volume group of a storage host exists, or can be created on blank disks."""
    problems = plan_volume_group(group, disks, host).problems
    return [Finding(ERROR, "disks", text, remedy, name) for text, remedy in problems]


def check_volume_shares(
    name: str, backends: Collection[str], shares: Sequence[str]
) -> list[Finding]:
    """A storage host with the back end `nfs` has a share for volumes."""
    if "nfs" not in backends or shares:
        return []
    text = "cinder_backends includes nfs, but cinder_nfs_shares is empty"
    remedy = "name the shares, such as 192.0.2.9:/volumes, or remove nfs from cinder_backends"
    return [Finding(ERROR, "volumes", text, remedy, name)]


def check_shared_disks(
    name: str, host: Mapping[str, Any], claims: Mapping[str, Iterable[str]]
) -> list[Finding]:
    """No disk belongs to two services; `claims`: variable to its paths."""
    found, owners = [], dict[str, str]()
    for variable, paths in claims.items():
        for path in paths:
            real = (host["devices"].get(path) or {}).get("real", path)
            other = owners.setdefault(real, variable)
            if other != variable:
                text = f"{path} is in {variable} and in {other}"
                found.append(Finding(ERROR, "disks", text, "remove it from one of them", name))
    return found
