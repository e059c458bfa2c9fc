"""The lease that allows one run at a time to change a site: its holder, and whether that has ended.

The lease is a file on a controller (`paths.LEASE`); it outlives a run that was killed. Whether its
holder still runs is known on the holder's own machine only. Control node only.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TAKE_OVER = "cairn_take_over"


def holder(playbook: str, pid: int, proc: Path = Path("/proc")) -> dict[str, Any]:
    """The run of process `pid` on this machine, as others see it.

    `machine` identifies the boot and the process namespace of `pid`; `token` identifies the run,
    even if a later process has the same `pid`.
    """
    boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    machine = f"{boot} {(proc / 'self/ns/pid').readlink()}"
    return {
        "user": os.environ.get("SUDO_USER") or me(),
        "host": socket.gethostname(),
        "pid": pid,
        "playbook": playbook,
        "since": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "machine": machine,
        "token": f"{machine} {pid} {started(pid, proc)}",
    }


def me() -> str:
    """The name of the current user, or the number of a user without a name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def started(pid: int, proc: Path = Path("/proc")) -> str | None:
    """When a process started, in ticks since boot (proc(5), field 22); None if it does not run."""
    try:
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def has_ended(
    other: Mapping[str, Any], mine: Mapping[str, Any], proc: Path = Path("/proc")
) -> bool:
    """Whether another run has certainly ended: it ran on this machine, and its process is gone."""
    if other["machine"] != mine["machine"]:
        return False
    return bool(
        other["token"] != f"{other['machine']} {other['pid']} {started(other['pid'], proc)}"
    )


def sentence(other: Mapping[str, Any]) -> str:
    """A sentence on the run: user, machine, playbook, start."""
    return (
        f"{other['user']} on {other['host']} has been running {other['playbook']} since "
        f"{other['since']} (process {other['pid']})"
    )


REMEDY = (
    "wait for it; a run on another machine that was killed or failed leaves its lease behind: when "
    f"you know that it has ended, run with -e {TAKE_OVER}=true"
)
