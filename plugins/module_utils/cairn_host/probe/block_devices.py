"""The contents of a host's disks: signatures of file systems and partition tables, use, labels.

Runs on the managed host, with the standard library and util-linux only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LABELS = Path("/dev/disk/by-label")
PROC = Path("/proc")
END_BYTES = 1 << 20
UNKNOWN = "unknown"
"""Type of data without a signature; its `uuid` is a hash of both ends of the disk."""
WORDS = {"label": "labelled", "uuid": "with UUID"}


def read_labels(folder: Path = LABELS) -> dict[str, str]:
    """Label to device of every file system that udev knows."""
    if not folder.is_dir():
        return {}
    # udev escapes special characters as \\x and their number.
    return {
        path.name.encode().decode("unicode_escape"): str(path.resolve())
        for path in sorted(folder.iterdir())
    }


def read_device(path: str) -> dict[str, Any] | None:
    """A block device: its `real` path, `size_mb`, `used`, `signatures` and `error`.

    `used` and `error` are phrases, or empty. Signatures are those of wipefs (type, optionally label
    and uuid), including partition tables, or UNKNOWN. None if there is no such block device.
    """
    try:
        info = Path(path).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(info.st_mode):
        return None
    real = str(Path(path).resolve())
    system = Path(f"/sys/dev/block/{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}")
    signatures, error = read_signatures(real)
    return {
        "real": real,
        "size_mb": int((system / "size").read_text()) // 2048,
        "used": _used(real, system),
        "signatures": signatures,
        "error": error,
    }


def mounts(proc: Path = PROC) -> Iterator[tuple[str, str]]:
    """Source and target of every mount, with the kernel's escapes of blanks decoded."""
    for line in os.fsdecode((proc / "self/mounts").read_bytes()).strip("\n").split("\n"):
        device, where = (
            re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word)
            for word in line.split(" ")[:2]
        )
        yield device, where


def _mounted(device: str, where: str) -> int | None:
    """The number of the mounted device; None if it is unknown."""
    try:
        # By number: the kernel may call its root device /dev/root.
        return Path(where).stat().st_dev
    except OSError:
        pass
    try:
        return Path(device).stat().st_rdev
    except OSError:
        return None


def _used(real: str, system: Path, proc: Path = PROC) -> str:
    """What uses a device or one of its partitions, as a phrase; empty if nothing does."""
    major, _, minor = (system / "dev").read_text().strip().partition(":")
    number = os.makedev(int(major), int(minor))
    for device, where in mounts(proc):
        if device.startswith("/dev/") and _mounted(device, where) == number:
            return f"mounted on {where}"
    if (proc / "swaps").exists() and f"{real} " in (proc / "swaps").read_text():
        return "swap space"
    holders = sorted(path.name for path in (system / "holders").glob("*"))
    if holders:
        return f"held by {', '.join(holders)}"
    for part in sorted(path.parent for path in system.glob("*/partition")):
        if used := _used(f"/dev/{part.name}", part, proc):
            return f"{part.name} is {used}"
    return ""


def read_signatures(path: str) -> tuple[list[dict[str, str]], str]:
    """The signatures on a device, and the error if they cannot be read; writes nothing.

    Without a signature of wipefs it is UNKNOWN, unless both ends of the disk are zero: not all data
    has a signature.
    """
    done = subprocess.run(
        ["wipefs", "--no-act", "--json", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return [], done.stderr.strip()
    # Without a signature it prints nothing at all.
    found = json.loads(done.stdout or "{}").get("signatures", [])
    kept = ("type", "label", "uuid")
    if found:
        return [{key: one[key] for key in kept if one.get(key)} for one in found], ""
    try:
        ends = read_ends(path)
    except OSError as error:
        return [], f"{path}: {error.strerror}"
    if ends.count(0) == len(ends):
        return [], ""
    return [{"type": UNKNOWN, "uuid": hashlib.sha256(ends).hexdigest()[:12]}], ""


def read_ends(path: str) -> bytes:
    """The first and the last MiB of a device, with labels, tables and superblocks."""
    with Path(path).open("rb") as disk:
        first = disk.read(END_BYTES)
        size = disk.seek(0, os.SEEK_END)
        disk.seek(max(size - END_BYTES, 0))
        return first + disk.read(END_BYTES)


# --- what may be destroyed ----------------------------------------------------------------------


def contents(device: Mapping[str, Any]) -> str:
    """The contents of a device, in words."""
    return ", ".join(dict.fromkeys(map(_content, device["signatures"])))


def _content(found: Mapping[str, str]) -> str:
    if found["type"] == UNKNOWN:
        return f"{UNKNOWN} ({found['uuid']})"
    named = (f"{said} {found[key]}" for key, said in WORDS.items() if found.get(key))
    return " ".join([found["type"], *named])


def name_of(signatures: Sequence[Mapping[str, str]]) -> str:
    """The name of these contents for `erase`: a UUID if there is one, else the type."""
    uuids = (found["uuid"] for found in signatures if found.get("uuid"))
    return next(uuids, signatures[0]["type"])


def is_named(signatures: Sequence[Mapping[str, str]], erase: str) -> bool:
    """Whether `erase` names these contents: a UUID, or the type of a single signature."""
    names = {found.get("uuid") for found in signatures}
    if len(signatures) == 1:
        names.add(signatures[0]["type"])
    return bool(erase) and erase in names
