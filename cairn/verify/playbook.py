"""The ansible-playbook that a module on the operator's own machine was started by."""

from __future__ import annotations

import os
from pathlib import Path


def owner(process: int | None = None, root: Path = Path("/proc")) -> str:
    """Name the oldest ansible-playbook above a process (default: this one); empty if none is.

    The name holds the time of its start too, so that no later process has it.
    """
    found, number = "", process or os.getpid()
    while number > 1:
        started, parent = _stat(root / str(number))
        if not started:
            break
        if b"ansible-playbook" in (root / str(number) / "cmdline").read_bytes():
            found = f"{number}.{started}"
        number = parent
    return found


def lives(name: str, root: Path = Path("/proc")) -> bool:
    """Whether the playbook of that name still runs."""
    number, _, started = name.partition(".")
    return bool(number) and _stat(root / number)[0] == started


def _stat(folder: Path) -> tuple[str, int]:
    """A process's start in ticks since boot, and its parent; ("", 0) if there is none (proc(5))."""
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[19], int(fields[1])
