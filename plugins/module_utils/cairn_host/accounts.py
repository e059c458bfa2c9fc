"""System accounts of services."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import files, system
from .errors import HostError


def members_of(group: str) -> list[str]:
    """A group's members; HostError if the group does not exist."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        raise HostError(
            f"there is no group {group}: the package that creates it is not installed"
        ) from None


def ensure_account(user: Mapping[str, Any]) -> list[str]:
    """Create the system account of a service; returns what was done, as sentences."""
    done: list[str] = []
    if not user.get("name"):
        return done
    name = user["name"]
    for group in [*([] if user.get("external") else [name]), *user.get("groups", [])]:
        try:
            grp.getgrnam(group)
        except KeyError:
            system.must(["groupadd", "--system", group], f"making group {group}")
            done.append(f"group {group}")
    try:
        pwd.getpwnam(name)
    except KeyError:
        home = user.get("home", f"/var/lib/{name}")
        if user.get("external"):
            raise HostError(
                f"there is no user {name}: the package that creates it is not installed"
            ) from None
        system.must(
            [
                "useradd",
                "--system",
                "--gid",
                name,
                "--home-dir",
                home,
                "--shell",
                user.get("shell", "/usr/sbin/nologin"),
                name,
            ],
            f"making user {name}",
        )
        done.append(f"user {name}")
    missing = [g for g in user.get("groups", []) if name not in members_of(g)]
    if missing:
        system.must(
            ["usermod", "--append", "--groups", ",".join(missing), name], f"groups of {name}"
        )
        done += [f"{name} in group {g}" for g in missing]
    if not user.get("external"):
        home = Path(user.get("home", f"/var/lib/{name}"))
        done += files.ensure_directory(
            {"path": str(home), "owner": name, "group": name, "mode": "0755"}
        )
    return done
