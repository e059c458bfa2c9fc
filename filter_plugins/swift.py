"""Filters of the role swift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.filters import guarded
from cairn.service.swift import (
    swift_known,
    swift_mounts,
    swift_policies,
    swift_rings,
    swift_sync_realms,
)


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return guarded(swift_known, swift_mounts, swift_policies, swift_rings, swift_sync_realms)
