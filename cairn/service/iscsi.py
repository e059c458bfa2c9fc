"""Names of iSCSI initiators. Control node only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def initiator_name(site: Mapping[str, Any], host: str) -> str:
    """A host's iSCSI initiator name: stable over runs and globally unique.

    `site` is cairn_site. It uses Debian's naming authority, as Debian's generated names do, and a
    hash of region, VIP and host: other clouds on the same storage may have a `compute1`, too.
    """
    identity = "/".join((site["region"], site["vips"]["internal"], host))
    return f"iqn.1993-08.org.debian:01:{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
