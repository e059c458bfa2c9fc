"""Disks for objects: which is ours, which is blank, and which holds what is not to be destroyed.

Pure decisions on what `cairn_probe` told of a host (`devices`, `labels`, `records`), and the
formatting itself, which looks again before it writes. A file system of ours is known by its label.
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
    """What a disk is; `text` and `remedy` tell what is wrong with it, if anything is."""

    state: str
    text: str = ""
    remedy: str = ""


def label(name: str) -> str:
    """The label of a disk's file system; XFS has room for twelve characters."""
    return f"swift-{name}"


def record(name: str) -> str:
    """The record that tells that a disk of this name was once formatted on a host."""
    return f"swift-disk-{name}"


def judge(disk: Mapping[str, Any], host: Mapping[str, Any]) -> Judgement:
    """What a disk of `swift_disks` is on its host, whose `cairn_host` this is.

    `wrong` and `missing` have a text; so has `ours` when the disk is not where it should be.
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
                f"disk {name} ({path}) {_state(device)}; its objects are served by other copies",
                "replace it under the same name, or list it in swift_lost (docs/replace-a-disk.md)",
            )
        if device is not None:
            return Judgement(WRONG, f"disk {name} ({path}) {_state(device)}", "replace it")
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
    """A disk whose file system was found somewhere on the host."""
    if device is not None and device["real"] == found:
        return Judgement(OURS)
    others = device is not None and any(
        str(signature.get("label", "")).startswith(label("")) for signature in device["signatures"]
    )
    if device is None or others:
        # Kernels number disks anew at each start; the label is what counts.
        return Judgement(
            OURS,
            f"disk {name} is {found} now, not {path}",
            "name its device by /dev/disk/by-id, which does not change",
        )
    return Judgement(
        WRONG,
        f"disk {name} is to be {path}, but {found} is labelled {label(name)}",
        f"take the old disk out, clear it (wipefs --all {found}), or correct swift_disks",
    )


def _unlabelled(
    disk: Mapping[str, Any], name: str, path: str, device: Mapping[str, Any]
) -> Judgement:
    """A disk that is there and not ours yet."""
    if device["used"]:
        return Judgement(
            WRONG,
            f"disk {name} ({path}) is in use: {device['used']}",
            "nothing formats it like that: name another disk, or free this one",
        )
    if not device["signatures"]:
        return Judgement(BLANK)
    if is_named(device["signatures"], str(disk.get("erase") or "")):
        return Judgement(ERASE)
    return Judgement(
        WRONG,
        f"disk {name} ({path}) holds data: {contents(device)}",
        f"if that may be destroyed, add erase: {name_of(device['signatures'])} to {name} in "
        "swift_disks",
    )


def usable(disks: Sequence[Mapping[str, Any]], host: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those disks that are mounted or about to be; all, where nothing is known of the host."""
    if "devices" not in host:
        return [disk for disk in disks if not disk.get("failed")]
    return [disk for disk in disks if judge(disk, host).state in (OURS, BLANK, ERASE)]


# --- on the host ------------------------------------------------------------------------------


def prepare(
    disks: Sequence[Mapping[str, Any]], known: Mapping[str, str], owner: str, check: bool
) -> list[str]:
    """Format the disks that are blank or may be erased; which those were, as sentences.

    Looks at every disk itself, and writes to none before all were found in order; HostError
    otherwise. `known` are the host's records.
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
    held = [disk for disk, found in judged if found.state in (BLANK, ERASE) and is_held(disk)]
    if held:
        names = ", ".join(f"{disk['name']} ({disk['device']})" for disk in held)
        raise errors.HostError(
            "nothing was formatted\n"
            f"{names}: something keeps it for itself, perhaps a file system that was unmounted "
            "while a process had its files open\n"
            "  → systemctl try-restart 'swift-*.service' on this host, and run again"
        )
    done = []
    for disk, found in judged:
        if found.state in (BLANK, ERASE):
            if not check:
                make_filesystem(disk, owner, erase=found.state == ERASE)
            done.append(f"{disk['name']}: XFS on {disk['device']}")
    return done


def is_held(disk: Mapping[str, Any]) -> bool:
    """Whether the kernel lets nobody else use the disk, though it is mounted nowhere.

    Services of systemd's have mounts of their own: one that is taken away while they have files
    open there stays with them until they close the last.
    """
    try:
        os.close(os.open(str(disk["device"]), os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def make_filesystem(disk: Mapping[str, Any], owner: str, *, erase: bool) -> None:
    """XFS with the disk's label, whose root belongs to `owner` from the start."""
    name, path = str(disk["name"]), str(disk["device"])
    if erase:
        system.must(["wipefs", "--all", path], f"clearing {path}")
    uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(owner).gr_gid
    with tempfile.NamedTemporaryFile("w") as prototype:
        prototype.write(f"/\n0 0\nd--755 {uid} {gid}\n$\n")
        prototype.flush()
        # mkfs.xfs itself still refuses a disk with anything on it: there is no -f here.
        system.must(
            ["mkfs.xfs", "-L", label(name), "-p", prototype.name, path], f"formatting {path}"
        )
    system.must(["udevadm", "settle", "--timeout=30"], "waiting for the label")
    records.record(record(name), path)
    files.ensure_directory({"path": f"/srv/node/{name}"})
