"""Addresses of hosts, from `cairn_site`: the one place that picks them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def addresses(
    site: Mapping[str, Any], plane: str = "management", group: str | None = None
) -> list[str]:
    """The addresses on a plane of all hosts of `cairn_site`, or of one group's, in its order."""
    hosts = site["hosts"]
    names = hosts if group is None else site["groups"].get(group, ())
    return [hosts[n]["addresses"][plane] for n in names if plane in hosts[n]["addresses"]]
