"""Masking of secrets by the names of their options, and of passwords in URLs.

`mask_pair` works on files of a host, which may hold an older secret whose value is unknown.
"""

from __future__ import annotations

import functools
import re

MASK = "********"

URL_PASSWORD = re.compile(
    r"(?P<head>(?:[a-z][a-z0-9+.-]*://|\*{8}@[^\s,@]*,)[^:/@\s,\"']*:)"
    rf"(?P<secret>(?!{re.escape(MASK)}@)[^\s,\"'<>]+)@",
    re.IGNORECASE,
)
OPTION = re.compile(
    r"^(?P<head>\s*[\"']?(?P<name>[A-Za-z0-9_.-]+)[\"']?\s*[=:]\s*)(?P<value>\S.*)$"
)
SPACED = re.compile(
    r"^(?P<head>\s*(?P<name>auth_pass|password|insecure-password)\s+)(?P<value>\S.*)$"
)
"""keepalived and HAProxy put a space between an option and its value."""
ENVIRONMENT = re.compile(
    r"(?P<head>\b(?P<name>[A-Z][A-Z0-9_]*)=)(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"']+)"
)

SECRET_NAMES = re.compile(
    r"(?:^|[_.-])(?:password|passwd|passphrase|secret|secrets|secret_key|encryption_key"
    r"|fernet_key|private_key|access_key|api_key)(?:$|[_.-])"
    r"|(?:^|_)(?:key2?|pass|pwd|psk)$"
    r"|^(?:connection|slave_connection|sql_connection|transport_url|admin_token|auth_token"
    r"|bearer_token|auth_encryption_key|memcache_secret_key|metadata_proxy_shared_secret"
    r"|cluster_cookie|wsrep_sst_auth|swift_hash_path_prefix|swift_hash_path_suffix)$",
    re.IGNORECASE,
)
"""Names of options that hold secrets in oslo.config, MariaDB, HAProxy and keepalived."""
PLACES = ("_file", "_path", "_dir", "_folder", "_repository", "_name", "_id")
PATH = re.compile(r"[\"']?/(?:etc|usr|var|opt|run|srv|home|root)/[\w./-]*[\"']?;?")
"""A path is no secret: `ssl_key = /etc/cairn/tls/host.key`."""


def mask_urls(text: str) -> str:
    """The text with the password of every `scheme://user:password@host` replaced."""
    while True:
        masked = URL_PASSWORD.sub(lambda m: f"{m['head']}{MASK}@", text)
        if masked == text:
            return text
        text = masked  # transport_url repeats the password for each host


@functools.cache
def names_secret(name: str) -> bool:
    """Whether an option or variable of this name holds a secret, and not a path to one."""
    return bool(SECRET_NAMES.search(name)) and not name.lower().endswith(PLACES)


def _secret_value(line: str) -> tuple[str, str] | None:
    for form in (OPTION, SPACED):
        match = form.match(line)
        if match and names_secret(match["name"]) and not PATH.fullmatch(match["value"]):
            return match["head"], match["value"]
    return None


def _mask_environment(line: str) -> str:
    def one(match: re.Match[str]) -> str:
        secret = names_secret(match["name"]) and not PATH.fullmatch(match["value"])
        return f"{match['head']}{MASK}" if secret else match[0]

    return ENVIRONMENT.sub(one, line)


def mask_pair(before: str, after: str) -> tuple[str, str]:
    """Two versions of a file for a diff, with secrets masked and changed ones marked.

    Finds secrets by the names of their options; a host does not know their values. On the control
    node `cairn.masking.Masker` finds them by value.
    """
    old = {pair for line in before.splitlines() if (pair := _secret_value(line))}

    def side(text: str, is_after: bool) -> str:
        lines = []
        for line in text.splitlines():
            pair = _secret_value(line)
            if pair:
                changed = is_after and old and pair not in old
                line = f"{pair[0]}{MASK}{' (changed)' if changed else ''}"
            lines.append(_mask_environment(mask_urls(line)))
        return "\n".join(lines) + ("\n" if text.endswith("\n") else "")

    return side(before, False), side(after, True)
