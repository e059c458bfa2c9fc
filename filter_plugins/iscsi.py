"""Filters of the role iscsi."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any


def initiator_name(site: Mapping[str, Any], host: str) -> str:
    """The name by which iSCSI targets know a host: the same on each run, no other host's anywhere.

    `site` is cairn_site. Under Debian's naming authority, as its own generated names are; the rest
    is a hash of what no two hosts share, because other clouds on the same storage have a
    `compute1` too.
    """
    identity = "/".join((site["region"], site["vips"]["internal"], host))
    return f"iqn.1993-08.org.debian:01:{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {"initiator_name": initiator_name}
