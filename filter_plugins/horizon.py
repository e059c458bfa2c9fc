"""Filters of the role horizon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cairn.filters import guarded
from cairn.service.django import django_settings
from cairn.service.oslo import memcached_servers, service_url


class FilterModule:
    """Ansible's entry."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return guarded(django_settings, memcached_servers, internal_url=service_url)
