"""Records, small facts that roles keep on the host, and the lease of the run in progress."""

from __future__ import annotations

import json
from typing import Any

from . import files, paths


def record(name: str, value: str) -> bool:
    """Write a record; True if its value changed."""
    paths.RECORDS.mkdir(parents=True, exist_ok=True)
    path = paths.RECORDS / name
    if path.exists() and path.read_text() == value:
        return False
    files.write_atomic(path, value.encode(), 0o644, "root", "root")
    return True


def read_records() -> dict[str, str]:
    """The host's records by name."""
    if not paths.RECORDS.is_dir():
        return {}
    records = {p.name: p.read_text() for p in paths.RECORDS.iterdir() if p.is_file()}
    for role, former in paths.FORMER.items():
        if (value := records.pop(paths.due(former), None)) is not None:
            records.setdefault(paths.due(role), value)
    return records


def read_lease() -> dict[str, Any] | None:
    """The lease that this controller keeps; None if no run is in progress."""
    try:
        lease = json.loads(paths.LEASE.read_text())
    except (OSError, ValueError):
        return None
    return lease if isinstance(lease, dict) and "token" in lease else None
