"""Filters of the role iscsi."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.filters import guarded
from cairn.service.iscsi import initiator_name


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return guarded(initiator_name)
