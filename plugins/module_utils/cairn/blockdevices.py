"""What is on a host's disks: signatures of file systems and partition tables, users, labels.

Runs on the managed host; standard library and util-linux only.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

LABELS = Path("/dev/disk/by-label")


def read_labels(folder: Path = LABELS) -> dict[str, str]:
    """Label of every file system that udev knows, with its device."""
    if not folder.is_dir():
        return {}
    # udev writes what is no plain character as \\x and its number.
    return {
        path.name.encode().decode("unicode_escape"): str(path.resolve())
        for path in sorted(folder.iterdir())
    }


def read_device(path: str) -> dict[str, Any] | None:
    """A block device: its real path, size_mb, what uses it, its signatures and what is wrong.

    `used` and `error` are sentences, empty if there is nothing to say. Signatures are wipefs':
    type, perhaps label and uuid; partition tables are among them. None where there is no such
    block device.
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


def _used(real: str, system: Path) -> str:
    """What uses a device or one of its partitions, in words; empty when nothing does."""
    major, _, minor = (system / "dev").read_text().strip().partition(":")
    number = os.makedev(int(major), int(minor))
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, where = line.split()[:2]
        # By number: the kernel may call what it started from /dev/root.
        if device.startswith("/dev/") and Path(where).stat().st_dev == number:
            return f"mounted on {where}"
    if Path("/proc/swaps").exists() and f"{real} " in Path("/proc/swaps").read_text():
        return "swap space"
    holders = sorted(path.name for path in (system / "holders").glob("*"))
    if holders:
        return f"held by {', '.join(holders)}"
    for part in sorted(path.parent for path in system.glob("*/partition")):
        if used := _used(f"/dev/{part.name}", part):
            return f"{part.name} is {used}"
    return ""


def read_signatures(path: str) -> tuple[list[dict[str, str]], str]:
    """What wipefs would find on a device, and why it could not look; nothing is written."""
    done = subprocess.run(
        ["wipefs", "--no-act", "--json", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return [], done.stderr.strip()
    # Without a signature it prints nothing at all.
    found = json.loads(done.stdout or "{}").get("signatures", [])
    kept = ("type", "label", "uuid")
    return [{key: one[key] for key in kept if one.get(key)} for one in found], ""
