"""Helpers for services' descriptions, whose keys are in `blocks`: groups, sites, kinds of units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Description = Mapping[str, Any]

FOLDER = re.compile(r"(?!(?:etc|origin|root|units|venv)$)[a-z][a-z0-9_-]*")
"""Allowed names of a generation's built folders: none of the names of its other parts."""


def catalog_entries(catalog: Any) -> list[Mapping[str, Any]]:
    """The entries of a description's `catalog`, which may be one entry, a list, or missing."""
    return [catalog] if isinstance(catalog, Mapping) else list(catalog or [])


def chosen(role: str, description: Description, site: Mapping[str, Any]) -> bool:
    """Whether a site has a service: an optional one if named, one `with` another if that is."""
    needed = {role} if description.get("optional") else set()
    needed |= {description["with"]} if "with" in description else set()
    return needed <= set(site.get("services", []))


def in_groups(entry: Mapping[str, Any], default: list[str], me: Mapping[str, Any]) -> bool:
    """Whether an entry of a description applies to this host ("all" is every managed host)."""
    groups = entry.get("groups", default)
    return "all" in groups or bool(set(groups) & set(me["groups"]))


KINDS = ("wsgi", "static", "command", "distro")
"""What a unit runs: a WSGI application, a folder of files, a command, or a unit of Debian's."""


def by_uwsgi(unit: Mapping[str, Any]) -> bool:
    """Whether uWSGI runs this unit, with its own file in the service's /etc."""
    return any(unit.get(kind) for kind in ("wsgi", "static"))
