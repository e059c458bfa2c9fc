"""Filters of the role verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cairn.service import registry


def catalog_types(site: Mapping[str, Any]) -> dict[str, str]:
    """The service types of a site's catalog, each with its role; `site` is cairn_site."""
    return registry.catalog_types(registry.of_site(registry.descriptions(), site))


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {"catalog_types": catalog_types}
