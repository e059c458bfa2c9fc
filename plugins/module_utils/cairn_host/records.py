"""Small facts that roles keep on the host, and who is changing the site."""

from __future__ import annotations

import json
from typing import Any

from . import files, paths


def record(name: str, value: str) -> bool:
    """Keep a small fact on the host; True when it was another before."""
    paths.RECORDS.mkdir(parents=True, exist_ok=True)
    path = paths.RECORDS / name
    if path.exists() and path.read_text() == value:
        return False
    files.write_atomic(path, value.encode(), 0o644, "root", "root")
    return True


def read_records() -> dict[str, str]:
    """Small facts that roles keep on the host, by name."""
    if not paths.RECORDS.is_dir():
        return {}
    found = {p.name: p.read_text() for p in paths.RECORDS.iterdir() if p.is_file()}
    for role, former in paths.FORMER.items():
        if (value := found.pop(paths.due(former), None)) is not None:
            found.setdefault(paths.due(role), value)
    return found


def read_lease() -> dict[str, Any] | None:
    """Who is changing the site, as this controller was told; None where nobody is."""
    try:
        found = json.loads(paths.LEASE.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "token" in found else None
