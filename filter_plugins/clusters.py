"""Filters on the controllers' clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.filters import guarded
from cairn.service.clusters import galera_founder, others_with, who_drained


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return guarded(galera_founder, others_with, who_drained)
