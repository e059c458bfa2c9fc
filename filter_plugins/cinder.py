"""Filters of the role cinder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cairn_host.storage.volume_group import Disk, path_of


def disk_paths(disks: Iterable[Disk]) -> list[str]:
    """Paths of the disks in cinder_volume_disks; what may be erased on them is no part of that."""
    return [path_of(disk) for disk in disks]


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {"disk_paths": disk_paths}
