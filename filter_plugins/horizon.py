"""Filters with which horizon's role writes Django settings."""

from __future__ import annotations

import pprint
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from cairn.service.oslo import memcached_servers, service_url

NAME = re.compile(r"[A-Z][A-Z0-9_]*")
PAGES = re.compile(
    r"ADD_\w+|AVAILABLE_THEMES|COMPRESS_\w+|DEFAULT_THEME|HORIZON_CONFIG|INSTALLED_APPS"
    r"|NG_TEMPLATE_CACHE_AGE|SELECTABLE_THEMES|STATIC\w+|THEME_\w+|WEBROOT|XSTATIC_MODULES"
)
"""Settings that horizon's static files are collected and compressed by."""
DERIVED = ("CACHES", "COMPRESS_OFFLINE", "SECRET_KEY", "STATIC_ROOT", "WEBROOT")
"""Settings that the role cannot do without as it makes them."""


def plain(value: Any) -> Any:
    """A value of the inventory as Python's own types, whose repr is a literal."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    raise AnsibleFilterError(f"{value!r} is no value for a Django setting")


def django_settings(
    values: Mapping[str, Any], more: Mapping[str, Any] | None = None, pages: bool = False
) -> str:
    """Assignments in Python for Django settings; `more` wins over `values`.

    A mapping adds to the one in `values` and to horizon's default; null takes a setting of
    `values` away. With `pages` only the settings that static files are made by, else only the
    others. AnsibleFilterError for a name that no setting has, and for one that the role needs.
    """
    merged = dict(values)
    for name, value in (more or {}).items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[name] = {**old, **value}
        else:
            merged[name] = value
    lines = []
    for name, value in merged.items():
        if not NAME.fullmatch(str(name)):
            raise AnsibleFilterError(
                f"horizon_settings: {name!r} is no Django setting; their names are in capitals"
            )
        if name in DERIVED:
            raise AnsibleFilterError(f"horizon_settings: {name} is Cairn's own to set")
        if value is None or bool(PAGES.fullmatch(str(name))) is not pages:
            continue
        text = pprint.pformat(plain(value), width=96, sort_dicts=False)
        if isinstance(value, Mapping):
            known = f"globals().get({name!r}, vars(_settings).get({name!r}, {{}}))"
            text = f"{{**{known}, **{text}}}"
        lines.append(f"{name} = {text}")
    return "\n".join(lines)


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {
            "django_settings": django_settings,
            "internal_url": service_url,
            "memcached_servers": memcached_servers,
        }
