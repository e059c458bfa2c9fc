"""The ansible-playbook process that started a module on the control node."""

from __future__ import annotations

import os
from pathlib import Path


def owner(process: int | None = None, root: Path = Path("/proc")) -> str:
    """The name of the topmost ansible-playbook above a process (default: this one), or empty.

    The name includes its start time, so that no later process has the same name.
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
    """Whether the playbook of this name still runs."""
    number, _, started = name.partition(".")
    return bool(number) and _stat(root / number)[0] == started


def _stat(folder: Path) -> tuple[str, int]:
    """A process's start in ticks since boot, and its parent; ("", 0) if there is none (proc(5))."""
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[19], int(fields[1])
