"""The volume group of a storage host: its disks, and the disks that must not be touched.

The decision is a pure function of a host's probe (`devices`, `volume_groups`, `records`). Preflight
takes it before anything is touched, and the host again before it writes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import errors, system
from ..probe.block_devices import contents, is_named, name_of, read_device

RECORD = "cinder-volume-group"
Disk = str | Mapping[str, str]  # a path, or `device` and what to `erase`
LOST = "[unknown]"  # LVM's name for a missing disk


@dataclass
class Plan:
    """The disks (real paths) for a new group, or to add to the existing one.

    Disks whose contents may be destroyed are in `erase` as well.
    """

    create: list[str] = field(default_factory=list)
    extend: list[str] = field(default_factory=list)
    erase: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)  # each with its remedy

    def wrong(self, text: str, remedy: str) -> None:
        """Add a problem."""
        self.problems.append((text, remedy))


def path_of(disk: Disk) -> str:
    """The path of an entry of `cinder_volume_disks`."""
    return str(disk.get("device", "") if isinstance(disk, Mapping) else disk)


def plan(name: str, disks: Sequence[Disk], host: Mapping[str, Any]) -> Plan:
    """The plan for the volume group `name` on its disks in the inventory."""
    planned = Plan()
    groups: Mapping[str, Sequence[str]] = host.get("volume_groups", {})
    members = groups.get(name)
    new: dict[str, str] = {}
    for disk in disks:
        path = path_of(disk)
        device = host["devices"].get(path)
        if device is None:
            there = ", ".join(f"/dev/{one}" for one in sorted(host.get("disks", {}))) or "none"
            planned.wrong(
                f"has no disk {path}; it has {there}", "correct the name in cinder_volume_disks"
            )
        elif other_path := new.get(device["real"]):
            planned.wrong(
                f"{path} is the same disk as {other_path}",
                "name each disk once in cinder_volume_disks",
            )
        elif members is None or device["real"] not in members:
            new[device["real"]] = path
            erase = str(disk.get("erase") or "") if isinstance(disk, Mapping) else ""
            check_blank(path, device, groups, erase, planned)
    if members is None and host.get("records", {}).get(RECORD):
        planned.wrong(
            f"volume group {name} has disappeared; it holds all volumes of this host",
            "reconnect its disks; if they are lost for good, remove the record "
            f"(rm /var/lib/cairn/records/{RECORD}), and the next run creates a new one",
        )
    elif members is None and not disks:
        planned.wrong(
            f"has no volume group {name}, and no disk for it",
            "name its disks in cinder_volume_disks, or create the volume group yourself",
        )
    if LOST in (members or ()):
        planned.wrong(
            f"volume group {name} lacks a disk",
            "reconnect the disk, or see docs/replace-a-disk.md",
        )
    if not planned.problems:
        (planned.create if members is None else planned.extend).extend(new)
    return planned


def check_blank(
    path: str,
    device: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    erase: str,
    planned: Plan,
) -> None:
    """Add a problem if a disk is used or holds data, unless `erase` names that data."""
    owner = next((name for name, disks in groups.items() if device["real"] in disks), "")
    if owner:
        text, remedy = f"belongs to volume group {owner}", "name another disk"
    elif device["used"]:
        text, remedy = f"is in use: {device['used']}", "name another disk, or free this one"
    elif device.get("error"):
        text, remedy = f"cannot be read: {device['error']}", "replace it"
    elif device["signatures"] and is_named(device["signatures"], erase):
        planned.erase.append(device["real"])
        return
    elif device["signatures"]:
        contained, kind = contents(device), name_of(device["signatures"])
        text = f"holds data: {contained}"
        remedy = f"if that may be destroyed, name the disk by {{device: {path}, erase: {kind}}}"
        if not groups and any(s["type"] == "LVM2_member" for s in device["signatures"]):
            # Before the first run LVM may not be installed.
            remedy = f"if it is the volume group's, apt-get install lvm2; {remedy}"
    else:
        return
    planned.wrong(f"disk {path} {text}", f"{remedy} (cinder_volume_disks)")


# --- on the host ------------------------------------------------------------------------------


def read_volume_groups() -> dict[str, list[str]]:
    """Volume group to the real paths of its disks, LOST for a missing one."""
    if not shutil.which("pvs", path=system.SYSTEM_PATH):
        return {}
    words = ["pvs", "--reportformat=json", "--options=pv_name,vg_name"]
    report = json.loads(system.must(words, "reading the volume groups"))
    groups: dict[str, list[str]] = {}
    for disk in report["report"][0]["pv"]:
        if disk["vg_name"]:
            groups.setdefault(disk["vg_name"], []).append(disk["pv_name"])
    return groups


def prepare(name: str, disks: Sequence[Disk], records: Mapping[str, str], check: bool) -> list[str]:
    """Create or extend the volume group; returns the commands. HostError if there are problems."""
    host = {
        "devices": {path: read_device(path) for path in map(path_of, disks)},
        "volume_groups": read_volume_groups(),
        "records": records,
    }
    planned = plan(name, disks, host)
    if planned.problems:
        raise errors.HostError(
            "no disk was touched\n"
            + "\n".join(f"{text}\n  → {remedy}" for text, remedy in planned.problems)
        )
    done = [f"wipefs --all {disk}" for disk in planned.erase]
    for disk in [] if check else planned.erase:
        system.must(["wipefs", "--all", disk], f"clearing {disk}")
    for command, members in (("vgcreate", planned.create), ("vgextend", planned.extend)):
        if members:
            # LVM asks for confirmation, and thereby refuses, if it finds data on a disk.
            if not check:
                system.must([command, name, *members], f"{command} {name}")
            done.append(f"{command} {name} {' '.join(members)}")
    return done
