"""Text that people see, without secrets, as far as names of options and URLs tell.

`mask_pair` works on files of a host, where an older secret may stand that nobody knows any more.
`mask_urls` takes the passwords out of URLs.
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
    r"|(?:^|_)(?:key|pass|pwd|psk)$"
    r"|^(?:connection|slave_connection|sql_connection|transport_url|admin_token|auth_token"
    r"|bearer_token|auth_encryption_key|memcache_secret_key|metadata_proxy_shared_secret"
    r"|cluster_cookie|wsrep_sst_auth|swift_hash_path_prefix|swift_hash_path_suffix)$",
    re.IGNORECASE,
)
"""Names of options that hold secrets, as oslo.config, MariaDB, HAProxy and keepalived call them."""
PLACES = ("_file", "_path", "_dir", "_folder", "_repository", "_name", "_id")
PATH = re.compile(r"[\"']?/(?:etc|usr|var|opt|run|srv|home|root)/[\w./-]*[\"']?;?")
"""What names a file holds no secret: `ssl_key = /etc/cairn/tls/host.key`."""


def mask_urls(text: str) -> str:
    """The text with the password of every `scheme://user:password@host` replaced."""
    while True:
        masked = URL_PASSWORD.sub(lambda m: f"{m['head']}{MASK}@", text)
        if masked == text:
            return text
        text = masked  # transport_url names several hosts, each with the password


@functools.cache
def names_secret(name: str) -> bool:
    """Whether an option or a variable of this name holds a secret, and not the place of one."""
    return bool(SECRET_NAMES.search(name)) and not name.lower().endswith(PLACES)


def _secret_value(line: str) -> tuple[str, str] | None:
    for form in (OPTION, SPACED):
        match = form.match(line)
        if match and names_secret(match["name"]) and not PATH.fullmatch(match["value"]):
            return match["head"], match["value"]
    return None


def _mask_environment(line: str) -> str:
    def one(match: re.Match[str]) -> str:
        known = names_secret(match["name"]) and not PATH.fullmatch(match["value"])
        return f"{match['head']}{MASK}" if known else match[0]

    return ENVIRONMENT.sub(one, line)


def mask_pair(before: str, after: str) -> tuple[str, str]:
    """Two versions of a file for a diff: secrets masked, a changed one told as changed.

    Goes by the names of options, since a host knows no values; see Masker for what goes by value.
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
