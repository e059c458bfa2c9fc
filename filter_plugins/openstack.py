"""Filters of the OpenStack roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.filters import guarded
from cairn.service.dialects import systemd_word, yaml_text
from cairn.service.keys import newest_keys
from cairn.service.neutron import ovsdb_remotes, vlan_ranges


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return guarded(newest_keys, ovsdb_remotes, systemd_word, vlan_ranges, yaml_text)
