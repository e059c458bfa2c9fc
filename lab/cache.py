"""A cache of what is built once: entries are named by a hash of what they are built from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """The cache's folder, created if it is missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "cairn"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key(*parts: str | bytes) -> str:
    """Twelve hex digits that change when any part changes."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


@contextmanager
def lock(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on `path`; yields its descriptor, to be inherited by children.

    The lock lasts as long as any process has the descriptor open: a build that outlives a killed
    parent still keeps others from deleting what it is writing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def find(prefix: str) -> Path | None:
    """The newest finished entry whose name begins with `prefix`."""
    entries = [path for path in root().glob(f"{prefix}*") if _finished(path)]
    return max(entries, key=lambda path: path.stat().st_mtime, default=None)


def _finished(path: Path) -> bool:
    return path.suffix not in {".part", ".lock", ".log"}


def entry(name: str, build: Callable[[Path, int], None]) -> Path:
    """The entry `name`; `build(folder, lock descriptor)` fills a new folder if it is not there.

    An entry appears under its name only when it is complete. What a killed build left behind
    (`<name>.part`) is removed by the next.
    """
    final = root() / name
    if final.exists():
        return final
    with lock(root() / f"{name}.lock") as descriptor:
        if final.exists():
            return final
        part = root() / f"{name}.part"
        if part.exists():
            shutil.rmtree(part)
        part.mkdir()
        start = time.monotonic()
        build(part, descriptor)
        part.rename(final)
        _tell(name, time.monotonic() - start)
    return final


def _tell(name: str, seconds: float) -> None:
    """Report what was built, and how long it took, to the enclosing phase (tools/phase)."""
    if path := os.environ.get("CAIRN_PHASE_PARTS"):
        part = {"name": re.sub(r"-[0-9a-f]{12}.*", "", name), "seconds": round(seconds, 1)}
        with Path(path).open("a") as parts:
            parts.write(json.dumps(part) + "\n")
