"""A cache of manifests: a run makes them when it decides, and its later tasks reuse them.

Each task runs in a process of its own. They get a host's manifests as a variable of that host,
sealed with a key that nothing but the processes of this run has: manifests hold secrets.
"""

from __future__ import annotations

import functools
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from .. import PROJECT

SEAL = Fernet(Fernet.generate_key())
"""Made before Ansible forks a worker for each host and task."""
CHANGING = re.compile(
    r"\bhostvars\b|\bcairn_host\b(?!\.(?:cpus|cpu_flags)\b)|\b(?:lookup|query|now)\("
)
"""What may be another in a later task: what hosts said, which tasks bring up to date."""


@functools.cache
def lasting(role: str, project: Path = PROJECT) -> bool:
    """Whether a role's manifests are the same in all tasks of a run, as far as its files say."""
    folder = project / "roles" / role
    paths = [
        *(folder / name for name in ("vars/main.yml", "defaults/main.yml")),
        *(folder / "templates").rglob("*"),
    ]
    return not any(CHANGING.search(path.read_text()) for path in paths if path.is_file())


def seal(manifests: Mapping[str, Any], roles: Iterable[str]) -> dict[str, str]:
    """The manifests of these roles, so far as they last, for `unseal`."""
    return {
        role: SEAL.encrypt(zlib.compress(json.dumps(manifests[role]).encode(), 1)).decode()
        for role in roles
        if role in manifests and lasting(role)
    }


def unseal(text: str | None) -> dict[str, Any] | None:
    """A manifest that this run has sealed; None without one."""
    if text is None:
        return None
    try:
        made: dict[str, Any] = json.loads(zlib.decompress(SEAL.decrypt(text.encode())))
    except InvalidToken:  # sealed before this process knew of a key
        return None
    return made
