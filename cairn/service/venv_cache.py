"""Archives of virtualenvs on the control node: each is built on one host and unpacked on all.

An archive is named by the hash of its lock and the platform, so it never becomes invalid; other
sites and rebuilt ones use it as well.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNUSED_DAYS = 90
FORM = "2"  # increase it if the contents of archives change while their locks do not


def folder() -> Path:
    """The folder of the archives, below the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cairn" / "venvs"


def platform(host: Mapping[str, Any]) -> str:
    """The platform of a host's virtualenvs; `host` is its probe (cairn_host)."""
    system = host["os"]
    python = ".".join(host["python"].split(".")[:2])
    return f"{system['id']}{system['version']}-{host['arch']}-python{python}"


@dataclass(frozen=True)
class Archive:
    """One archive on the control node."""

    path: Path

    @classmethod
    def of(cls, venv: str, where: str) -> Archive:
        """The archive of a virtualenv for a platform, whether it exists or not."""
        return cls(folder() / f"{venv}_{where}.{FORM}.tar.gz")

    @property
    def stamp(self) -> Path:
        """The file with the archive's SHA-256; written last."""
        return self.path.with_name(f"{self.path.name}.sha256")

    def exists(self) -> bool:
        """Whether the archive exists and is complete."""
        return self.stamp.exists() and self.path.exists()

    def use(self) -> str:
        """Its SHA-256 in hex; marks it as used today."""
        self.stamp.touch()
        return self.stamp.read_text().strip()

    def keep(self, fetched: Path, sha256: str) -> None:
        """Keep a fetched file; ValueError if its hash differs."""
        with fetched.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if found != sha256:
            raise ValueError(f"{fetched} arrived damaged: {found} instead of {sha256}")
        fetched.rename(self.path)
        self.stamp.write_text(sha256 + "\n")


def any_for(where: str) -> bool:
    """Whether there is any archive for a platform."""
    return any(folder().glob(f"*_{where}.{FORM}.tar.gz.sha256"))


def prune(now: float | None = None) -> list[str]:
    """Remove archives that were not used for UNUSED_DAYS days; returns their names."""
    limit = (now or time.time()) - UNUSED_DAYS * 86400
    removed = []
    for stamp in folder().glob("*.sha256"):
        if stamp.stat().st_mtime < limit:
            stamp.unlink()
            stamp.with_suffix("").unlink(missing_ok=True)
            removed.append(stamp.stem)
    return removed


def assign(
    needs: Mapping[str, Mapping[str, int]], platforms: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Assign virtualenvs to hosts that build them: (virtualenv, platform) to a host.

    `needs` maps each host to its missing virtualenvs, with their costs; `platforms` maps the same
    hosts to their platforms. The most expensive is assigned first, always to the host with the
    least work; among equals to one that needs it itself, then in the inventory's order.
    """
    costs: dict[tuple[str, str], int] = {}
    for host, venvs in needs.items():
        for venv, cost in venvs.items():
            costs[venv, platforms[host]] = cost
    load = dict.fromkeys(needs, 0)
    found = {}
    for (venv, where), cost in sorted(costs.items(), key=lambda item: (-item[1], item[0])):
        able = [host for host in needs if platforms[host] == where]
        builder = min(able, key=lambda host: (load[host], venv not in needs[host]))
        load[builder] += cost
        found[venv, where] = builder
    return found
