"""Text that people see, without the secrets in it.

Works on whole files: the value of every option that is known to hold a secret is replaced, and
passwords inside URLs are cut out wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "********"
URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.]*://[^:/@\s,]+:)(?P<secret>[^@\s,]+)@")
OPTION = re.compile(r"^(?P<head>\s*(?P<name>[A-Za-z0-9_.-]+)\s*[=:]\s*)(?P<value>.+)$")

SECRET_NAMES = re.compile(
    r"(?:^|_|-)(?:password|passwd|secret|secret_key|auth_pass|encryption_key|fernet_key)(?:$|_|-)"
    r"|^(?:connection|slave_connection|transport_url|admin_token|auth_encryption_key"
    r"|memcache_secret_key|metadata_proxy_shared_secret|cluster_cookie|wsrep_sst_auth"
    r"|auth_key|swift_hash_path_prefix|swift_hash_path_suffix)$",
    re.IGNORECASE,
)
"""Names of options that hold secrets, as oslo.config, MariaDB and HAProxy call them."""


def mask_urls(text: str) -> str:
    """The text with the password of every `scheme://user:password@host` replaced."""
    return URL_PASSWORD.sub(lambda m: f"{m['head']}{MASK}@", text)


def mask_known(text: str, secrets: Iterable[str]) -> str:
    """The text with every one of the given secret values replaced (those of 6 letters and more)."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, MASK)
    return text


def _secret_value(line: str) -> tuple[str, str] | None:
    match = OPTION.match(line)
    if match and SECRET_NAMES.search(match["name"]):
        return match["head"], match["value"]
    return None


def mask_pair(before: str, after: str) -> tuple[str, str]:
    """Two versions of a file for a diff: secrets masked, a changed one told as changed."""
    old = {pair for line in before.splitlines() if (pair := _secret_value(line))}

    def side(text: str, is_after: bool) -> str:
        lines = []
        for line in text.splitlines():
            pair = _secret_value(line)
            if pair:
                changed = is_after and old and pair not in old
                line = f"{pair[0]}{MASK}{' (changed)' if changed else ''}"
            lines.append(mask_urls(line))
        return "\n".join(lines) + ("\n" if text.endswith("\n") else "")

    return side(before, False), side(after, True)
