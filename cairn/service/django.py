"""Django settings of horizon, from inventory data. Control node only."""

from __future__ import annotations

import pprint
import re
from collections.abc import Mapping
from typing import Any

from ..errors import CairnError

NAME = re.compile(r"[A-Z][A-Z0-9_]*")
PAGES = re.compile(
    r"ADD_\w+|AVAILABLE_THEMES|COMPRESS_\w+|DEFAULT_THEME|HORIZON_CONFIG|INSTALLED_APPS"
    r"|NG_TEMPLATE_CACHE_AGE|SELECTABLE_THEMES|STATIC\w+|THEME_\w+|WEBROOT|XSTATIC_MODULES"
)
"""Settings used to collect and compress horizon's static files."""
DERIVED = ("CACHES", "COMPRESS_OFFLINE", "SECRET_KEY", "STATIC_ROOT", "WEBROOT")
"""Settings that the role derives itself."""


def plain(value: Any) -> Any:
    """An inventory value as Python's built-in types, whose repr is a literal."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    raise CairnError(
        f"horizon_settings: {value!r} is no value for a Django setting; use text, numbers, "
        "booleans, lists and mappings"
    )


def django_settings(
    values: Mapping[str, Any], more: Mapping[str, Any] | None = None, pages: bool = False
) -> str:
    """Python assignments of Django settings; `more` overrides `values`.

    A mapping is merged with the one in `values` and with horizon's default; null removes a setting
    of `values`. With `pages` only the settings of static files, else only the others. CairnError
    for a name that is no setting, and for one that the role derives.
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
            raise CairnError(
                f"horizon_settings: {name!r} is no Django setting; their names are in capitals"
            )
        if name in DERIVED:
            raise CairnError(f"horizon_settings: {name} is set by Cairn; remove it")
        if value is None or bool(PAGES.fullmatch(str(name))) is not pages:
            continue
        text = pprint.pformat(plain(value), width=96, sort_dicts=False)
        if isinstance(value, Mapping):
            default = f"globals().get({name!r}, vars(_settings).get({name!r}, {{}}))"
            text = f"{{**{default}, **{text}}}"
        lines.append(f"{name} = {text}")
    return "\n".join(lines)
