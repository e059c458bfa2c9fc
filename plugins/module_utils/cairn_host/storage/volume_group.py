"""The volume group of a storage host: of which disks it is made, and which must not be touched.

The decision is a pure function of what `cairn_probe` told of a host (`devices`, `volume_groups`,
`records`), so that preflight takes it before anything is touched; the host takes it again before
it writes.
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
LOST = "[unknown]"  # LVM's name for a disk that it knows and does not find


@dataclass
class Plan:
    """What is to be done: disks (real paths) for a new group or for the one that is there.

    Those of them whose contents may be destroyed are in `erase`, too.
    """

    create: list[str] = field(default_factory=list)
    extend: list[str] = field(default_factory=list)
    erase: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)  # what is wrong, what to do

    def wrong(self, text: str, remedy: str) -> None:
        """Note a problem."""
        self.problems.append((text, remedy))


def path_of(disk: Disk) -> str:
    """The path of an entry of `cinder_volume_disks`."""
    return str(disk.get("device", "") if isinstance(disk, Mapping) else disk)


def plan(name: str, disks: Sequence[Disk], host: Mapping[str, Any]) -> Plan:
    """What to do for the volume group `name` on the disks that the inventory gives to it."""
    found = Plan()
    groups: Mapping[str, Sequence[str]] = host.get("volume_groups", {})
    members = groups.get(name)
    new: dict[str, str] = {}
    for disk in disks:
        path = path_of(disk)
        device = host["devices"].get(path)
        if device is None:
            there = ", ".join(f"/dev/{known}" for known in sorted(host.get("disks", {}))) or "none"
            found.wrong(
                f"has no disk {path}; it has {there}", "correct the name in cinder_volume_disks"
            )
        elif device["real"] in new:
            found.wrong(
                f"{path} is the same disk as {new[device['real']]}",
                "name each disk once in cinder_volume_disks",
            )
        elif members is None or device["real"] not in members:
            new[device["real"]] = path
            erase = str(disk.get("erase") or "") if isinstance(disk, Mapping) else ""
            check_blank(path, device, groups, erase, found)
    if members is None and host.get("records", {}).get(RECORD):
        found.wrong(
            f"volume group {name} is missing, and was there: all volumes of this host are in it",
            "bring its disks back; if they are lost for good, remove the record "
            f"(rm /var/lib/cairn/records/{RECORD}) and the next run begins anew",
        )
    elif members is None and not disks:
        found.wrong(
            f"has no volume group {name}, and no disk to make it of",
            "name its disks in cinder_volume_disks, or make the volume group yourself",
        )
    if LOST in (members or ()):
        found.wrong(
            f"volume group {name} lacks a disk",
            "bring the disk back, or see docs/replace-a-disk.md",
        )
    if not found.problems:
        (found.create if members is None else found.extend).extend(new)
    return found


def check_blank(
    path: str,
    device: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    erase: str,
    found: Plan,
) -> None:
    """Note what speaks against giving a disk to the volume group: all but what `erase` names."""
    owner = next((name for name, disks in groups.items() if device["real"] in disks), "")
    if owner:
        text, remedy = f"belongs to volume group {owner}", "name another disk"
    elif device["used"]:
        text, remedy = f"is in use: {device['used']}", "name another disk, or free this one"
    elif device.get("error"):
        text, remedy = f"cannot be read: {device['error']}", "replace it"
    elif device["signatures"] and is_named(device["signatures"], erase):
        found.erase.append(device["real"])
        return
    elif device["signatures"]:
        text = f"holds data: {contents(device)}"
        wanted = f"{{device: {path}, erase: {name_of(device['signatures'])}}}"
        remedy = f"if that may be destroyed, name the disk by {wanted}"
        if not groups and any(s["type"] == "LVM2_member" for s in device["signatures"]):
            # Before the first run LVM may not be there to tell.
            remedy = f"if it is the volume group's, apt-get install lvm2; {remedy}"
    else:
        return
    found.wrong(f"disk {path} {text}", f"{remedy} (cinder_volume_disks)")


# --- on the host ------------------------------------------------------------------------------


def read_volume_groups() -> dict[str, list[str]]:
    """Volume group to the real paths of its disks, LOST for one that is not there."""
    if not shutil.which("pvs", path=system.SYSTEM_PATH):
        return {}
    words = ["pvs", "--reportformat=json", "--options=pv_name,vg_name"]
    told = json.loads(system.must(words, "reading the volume groups"))
    groups: dict[str, list[str]] = {}
    for disk in told["report"][0]["pv"]:
        if disk["vg_name"]:
            groups.setdefault(disk["vg_name"], []).append(disk["pv_name"])
    return groups


def prepare(name: str, disks: Sequence[Disk], records: Mapping[str, str], check: bool) -> list[str]:
    """Make the volume group or extend it; what was done, as sentences. HostError if it must not."""
    host = {
        "devices": {path: read_device(path) for path in map(path_of, disks)},
        "volume_groups": read_volume_groups(),
        "records": records,
    }
    wanted = plan(name, disks, host)
    if wanted.problems:
        raise errors.HostError(
            "no disk was touched\n"
            + "\n".join(f"{text}\n  → {remedy}" for text, remedy in wanted.problems)
        )
    done = [f"wipefs --all {disk}" for disk in wanted.erase]
    for disk in [] if check else wanted.erase:
        system.must(["wipefs", "--all", disk], f"clearing {disk}")
    for command, members in (("vgcreate", wanted.create), ("vgextend", wanted.extend)):
        if members:
            # LVM itself still asks, and thereby refuses, where it finds something on a disk.
            if not check:
                system.must([command, name, *members], f"{command} {name}")
            done.append(f"{command} {name} {' '.join(members)}")
    return done
