"""What a service's description may say, and whom it is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import DescriptionError

Description = Mapping[str, Any]

DESCRIPTION_KEYS = {
    "summary",
    "optional",
    "with",
    "after",
    "groups",
    "user",
    "lock",
    "distro_modules",
    "packages",
    "directories",
    "config",
    "files",
    "build",
    "units",
    "mounts",
    "databases",
    "queue",
    "catalog",
    "migrations",
    "validate",
    "records",
    "secrets",
    "sudoers",
}
CONFIG_KEYS = {
    "file",
    "groups",
    "oslo",
    "sections",
    "namespaces",
    "like",
    "dialect",
    "owner",
    "group",
    "mode",
    "secret",
}
FILE_KEYS = {
    "path",
    "groups",
    "content",
    "template",
    "copy",
    "from_venv",
    "dialect",
    "mode",
    "owner",
    "group",
    "secret",
}
BUILD_KEYS = {"folder", "files", "commands", "groups"}


FOLDER = re.compile(r"(?!(?:etc|origin|root|units|venv)$)[a-z][a-z0-9_-]*")
"""Names that a built folder of a generation may have: not those of its other parts."""


def catalog_entries(catalog: Any) -> list[Mapping[str, Any]]:
    """The entries of a description's `catalog`, which may be one, a list of them or missing."""
    return [catalog] if isinstance(catalog, Mapping) else list(catalog or [])


def chosen(role: str, description: Description, site: Mapping[str, Any]) -> bool:
    """Whether a site has a service: an optional one only by name, one `with` another with it."""
    needed = {role} if description.get("optional") else set()
    needed |= {description["with"]} if "with" in description else set()
    return needed <= set(site.get("services", []))


def in_groups(entry: Mapping[str, Any], default: list[str], me: Mapping[str, Any]) -> bool:
    """Whether an entry of a description is meant for this host ("all" is every managed host)."""
    groups = entry.get("groups", default)
    return "all" in groups or bool(set(groups) & set(me["groups"]))


def check_keys(where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    """Raise DescriptionError when an entry has a key that means nothing."""
    unknown = sorted(set(entry) - known)
    if unknown:
        raise DescriptionError(f"{where}: unknown key {unknown[0]!r}; known: {sorted(known)}")


UNIT_KEYS = {
    "groups",
    "wsgi",
    "static",
    "port",
    "processes",
    "threads",
    "uwsgi",
    "command",
    "environment",
    "unit",
    "service",
    "sandbox",
    "config_files",
    "health",
    "frontend",
    "distro",
    "on_change",
    "dropin",
    "enabled",
    "state",
    "type",
    "timer",
    "plane",
}


KINDS = ("wsgi", "static", "command", "distro")
"""What a unit may run: a WSGI application, a folder of files, a command, or a unit of Debian's."""


MOUNT_KEYS = {"what", "where", "type", "options"}


def by_uwsgi(unit: Mapping[str, Any]) -> bool:
    """Whether uWSGI runs this unit, by a file of its own in the service's /etc."""
    return any(unit.get(kind) for kind in ("wsgi", "static"))


QUEUE_KEYS = {"policies"}


CATALOG_KEYS = {
    *("type", "name", "description", "port", "path"),
    *("user", "roles", "domain", "extra_roles"),
}
