"""Filters of the role cinder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cairn_host.storage.volume_group import Disk, path_of


def disk_paths(disks: Iterable[Disk]) -> list[str]:
    """The paths of the disks in cinder_volume_disks."""
    return [path_of(disk) for disk in disks]


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {"disk_paths": disk_paths}
