"""Disks for objects: which are Cairn's, which are blank, and which hold other data.

Pure decisions on a host's probe (`devices`, `labels`, `records`), and the formatting, which checks
again before it writes. Cairn's file systems are recognised by their labels.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import errors, files, records, system
from ..probe.block_devices import contents, is_named, name_of, read_device, read_labels

NAME = re.compile(r"[a-z][a-z0-9]{0,5}")
OURS, BLANK, ERASE, FAILED = "ours", "blank", "erase", "failed"
MISSING, WRONG = "missing", "wrong"


@dataclass(frozen=True)
class Judgement:
    """The state of a disk; `text` and `remedy` of its problem, if it has one."""

    state: str
    text: str = ""
    remedy: str = ""


def label(name: str) -> str:
    """The label of a disk's file system; XFS allows twelve characters."""
    return f"swift-{name}"


def record(name: str) -> str:
    """The record that a disk of this name was formatted on a host."""
    return f"swift-disk-{name}"


def judge(disk: Mapping[str, Any], host: Mapping[str, Any]) -> Judgement:
    """Judge a disk of `swift_disks`; `host` is the host's `cairn_host`.

    `wrong` and `missing` have a text, and `ours` if the disk has another device than it should.
    """
    name, path = str(disk["name"]), str(disk["device"])
    if not NAME.fullmatch(name):
        return Judgement(
            WRONG,
            f"disk {name!r}: a name is a letter and up to five letters and digits",
            "rename it in swift_disks before it is formatted",
        )
    if disk.get("failed"):
        return Judgement(FAILED)
    device = host["devices"].get(path)
    found = host["labels"].get(label(name))
    if found:
        return _labelled(name, path, device, found)
    if device is None or device.get("error"):
        if host.get("records", {}).get(record(name)):
            return Judgement(
                MISSING,
                f"disk {name} ({path}) {_state(device)}; other copies serve its objects",
                "replace it under the same name, or list it in swift_lost (docs/replace-a-disk.md)",
            )
        if device is not None:
            text = f"disk {name} ({path}) cannot be read: {device['error']}"
            return Judgement(WRONG, text, "replace it")
        there = ", ".join(sorted(host.get("disks", {}))) or "none"
        return Judgement(
            WRONG,
            f"has no disk {path} ({name}); it has {there}",
            f"correct the device of {name} in swift_disks",
        )
    return _unlabelled(disk, name, path, device)


def _state(device: Mapping[str, Any] | None) -> str:
    return "is gone" if device is None else f"cannot be read: {device['error']}"


def _labelled(name: str, path: str, device: Mapping[str, Any] | None, found: str) -> Judgement:
    """Judge a disk whose label is on the device `found`."""
    if device is not None and device["real"] == found:
        return Judgement(OURS)
    others = device is not None and any(
        str(signature.get("label", "")).startswith(label("")) for signature in device["signatures"]
    )
    if device is None or others:
        # Device names can change at each boot; the label counts.
        return Judgement(
            OURS,
            f"disk {name} is {found} now, not {path}",
            "name its device by /dev/disk/by-id, which does not change",
        )
    return Judgement(
        WRONG,
        f"disk {name} should be {path}, but {found} is labelled {label(name)}",
        f"remove the old disk, clear it (wipefs --all {found}), or correct swift_disks",
    )


def _unlabelled(
    disk: Mapping[str, Any], name: str, path: str, device: Mapping[str, Any]
) -> Judgement:
    """Judge an existing disk without Cairn's label."""
    if device["used"]:
        return Judgement(
            WRONG,
            f"disk {name} ({path}) is in use: {device['used']}",
            "Cairn does not format disks in use: name another disk, or free this one",
        )
    if not device["signatures"]:
        return Judgement(BLANK)
    if is_named(device["signatures"], str(disk.get("erase") or "")):
        return Judgement(ERASE)
    contained, kind = contents(device), name_of(device["signatures"])
    return Judgement(
        WRONG,
        f"disk {name} ({path}) holds data: {contained}",
        f"if that may be destroyed, add erase: {kind} to {name} in swift_disks",
    )


def usable(disks: Sequence[Mapping[str, Any]], host: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The disks that are or will be mounted; all disks if the host was not probed."""
    if "devices" not in host:
        return [disk for disk in disks if not disk.get("failed")]
    return [disk for disk in disks if judge(disk, host).state in (OURS, BLANK, ERASE)]


# --- on the host ------------------------------------------------------------------------------


def prepare(
    disks: Sequence[Mapping[str, Any]], known: Mapping[str, str], owner: str, check: bool
) -> list[str]:
    """Format blank and erasable disks; returns what was done, as sentences.

    Checks every disk before it writes to any; HostError if one is wrong. `known` are the host's
    records.
    """
    host = {
        "devices": {disk["device"]: read_device(str(disk["device"])) for disk in disks},
        "labels": read_labels(),
        "records": known,
    }
    judged = [(disk, judge(disk, host)) for disk in disks]
    wrong = [found for _, found in judged if found.state == WRONG]
    if wrong:
        raise errors.HostError(
            "nothing was formatted\n"
            + "\n".join(f"{found.text}\n  → {found.remedy}" for found in wrong)
        )
    busy = [disk for disk, found in judged if found.state in (BLANK, ERASE) and is_busy(disk)]
    if busy:
        names = ", ".join(f"{disk['name']} ({disk['device']})" for disk in busy)
        raise errors.HostError(
            "nothing was formatted\n"
            f"{names}: the kernel still uses it, perhaps as a file system that was unmounted while "
            "a process had files open\n"
            "  → systemctl try-restart 'swift-*.service' on this host, and run again"
        )
    done = []
    for disk, found in judged:
        if found.state in (BLANK, ERASE):
            if not check:
                make_filesystem(disk, owner, erase=found.state == ERASE)
            done.append(f"{disk['name']}: XFS on {disk['device']}")
    return done


def is_busy(disk: Mapping[str, Any]) -> bool:
    """Whether the kernel refuses exclusive access to a disk that is mounted nowhere.

    Services with a mount namespace keep an unmounted file system until they close its last file.
    """
    try:
        os.close(os.open(str(disk["device"]), os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def make_filesystem(disk: Mapping[str, Any], owner: str, *, erase: bool) -> None:
    """Create XFS with the disk's label; its root belongs to `owner` from the start."""
    name, path = str(disk["name"]), str(disk["device"])
    if erase:
        system.must(["wipefs", "--all", path], f"clearing {path}")
    uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(owner).gr_gid
    with tempfile.NamedTemporaryFile("w") as prototype:
        prototype.write(f"/\n0 0\nd--755 {uid} {gid}\n$\n")
        prototype.flush()
        # Without -f mkfs.xfs refuses a disk with data.
        system.must(
            ["mkfs.xfs", "-L", label(name), "-p", prototype.name, path], f"formatting {path}"
        )
    system.must(["udevadm", "settle", "--timeout=30"], "waiting for the label")
    records.record(record(name), path)
    files.ensure_directory({"path": f"/srv/node/{name}"})
