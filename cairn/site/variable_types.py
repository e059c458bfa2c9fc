"""Types of the variables that Cairn itself reads on the control node.

Roles' variables are checked against their argument specs when a run decides (cairn_decide). These
are read earlier, by preflight and the model of the site, which must not take a text for a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .. import PROJECT
from .planes import GROUPS, Problem

RELEASES = sorted(path.parent.name for path in PROJECT.glob("releases/*/build.lock"))
"""Releases of OpenStack with locks in this version of Cairn."""

Judge = Callable[[Any], str]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return "" if value.strip() else "it must not be empty; remove it for the default"
    return "it must be text"


def _release(value: Any) -> str:
    text = str(value) if isinstance(value, str | float) else ""
    return "" if text in RELEASES else f"it must be one of {', '.join(RELEASES)}"


def _seconds(value: Any) -> str:
    """A number, or the text of one; 0 stands for a default."""
    right = not isinstance(value, bool) and re.fullmatch(r"\d+", str(value).strip())
    return "" if right else "it must be a whole number of seconds"


def _texts(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(v, str) and v.strip() for v in value):
        return ""
    return "it must be a list of texts"


def _text_or_texts(value: Any) -> str:
    return _texts(value) if isinstance(value, list | tuple) else _text(value)


def _disks(value: Any) -> str:
    """Disks as paths or mappings with one; preflight checks the rest."""
    if isinstance(value, list | tuple) and all(isinstance(v, str | Mapping) for v in value):
        return ""
    return "it must be a list of disks"


def _mapping(value: Any) -> str:
    return "" if isinstance(value, Mapping) else "it must be a mapping"


def _truth(value: Any) -> str:
    """A boolean, or its text, as from -e."""
    right = isinstance(value, bool) or str(value).lower() in ("true", "false", "yes", "no")
    return "" if right else "it must be true or false"


def _by_group(value: Any) -> str:
    rule = f"it must map groups ({', '.join(GROUPS)}) to whole numbers of MiB"
    if not isinstance(value, Mapping) or not set(value) <= set(GROUPS):
        return rule
    whole = (isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value.values())
    return "" if all(whole) else rule


def _batches(value: Any) -> str:
    """As Ansible's `serial`: a number of hosts, a share of them, or a list of these."""
    entries = value if isinstance(value, list | tuple) else [value]
    right = (
        not isinstance(e, bool) and re.fullmatch(r"[1-9]\d*|(100|[1-9]\d?)%", str(e).strip())
        for e in entries
    )
    if entries and all(right):
        return ""
    return 'it must be a number of hosts, a share such as "20%", or a list of these'


# One for the site; what planes.read_site reads stands there.
OF_SITE: Mapping[str, Judge] = {
    "cairn_release": _release,
    "cairn_region": _text,
    "cairn_services": _texts,
    "cairn_internal_name": _text,
    "cairn_public_name": _text,
    "cairn_public_address": _text_or_texts,
    "cairn_operator_dir": _text,
    "cairn_cloud_name": _text,
    "cairn_secrets": _mapping,
    "cairn_pypi_index": _text,
    "cairn_http_proxy": _text,
    "cairn_https_proxy": _text,
    "cairn_no_proxy": _text_or_texts,
    "cairn_batches": _batches,
    "cairn_take_over": _truth,
}
OF_HOST: Mapping[str, Judge] = {
    "cairn_minimum_memory_mb": _by_group,
    "cairn_minimum_disk_mb": _by_group,
    "cinder_backends": _texts,
    "cinder_nfs_shares": _texts,
    "cinder_volume_disks": _disks,
    "cinder_volume_group": _text,
    "network_keep": _texts,
    "network_window": _seconds,
    "swift_batches": _batches,
    "swift_disks": _disks,
}


def check(
    variables: Mapping[str, Any], judges: Mapping[str, Judge], host: str = ""
) -> list[Problem]:
    """The problems of variables' types; null means the default.

    The texts show only values that are numbers or booleans: others may be secret.
    """
    found = []
    for name, judge in judges.items():
        value = variables.get(name)
        rule = judge(value) if value is not None else ""
        if rule:
            found.append(Problem(name, f"{name} is {_shown(value)}; {rule}", host))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str):
        return "a text" if value.strip() else "empty"
    return "a list" if isinstance(value, list | tuple) else "a mapping"
