"""Filters on generations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.filters import guarded
from cairn.service.rollback import rollback_obstacle, rollback_targets


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return guarded(rollback_obstacle, rollback_targets)
