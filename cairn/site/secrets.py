"""The secrets of a site: their names and kinds, and how to create them.

The services' descriptions define the secrets; only those that belong to no single service are in
SHARED.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..service import dialects
from ..service.description import catalog_entries
from .certificates import certificate_authority

NAME = re.compile(r"[a-z][a-z0-9_]*")

# Secrets that belong to no single service, with their kinds.
SHARED = {
    "erlang_cookie": "password",
    "keystone_admin": "password",
    "memcache_secret_key": "password",
    "metadata_proxy_shared_secret": "password",
    "ca_certificate": "ca",
    "ca_key": "ca",
}


class SecretsError(ValueError):
    """Invalid input; the text says what is wrong, where, and how to fix it."""


def letters(length: int) -> str:
    """Return a random word of letters and digits, which needs no quoting in files and URLs."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length))


GENERATORS: dict[str, Callable[[], str]] = {
    "password": lambda: letters(32),
    "vrrp": lambda: letters(8),  # keepalived uses no more than eight characters
}


def database(text: str) -> str:
    """Return a password of a database user; PyMySQL sends it in Latin-1."""
    if wrong := re.search(r"[^\x00-\x7f]", text):
        raise dialects.DialectError(
            f"PyMySQL, with which services log in to MariaDB, takes ASCII, not {wrong[0]!r}"
        )
    return dialects.one_line(text)


def keystone_database(text: str) -> str:
    """Return a password of keystone's database user, which its migrations can read.

    They give the quoted URL to a ConfigParser, in which % introduces an interpolation (keystone
    29.0.0: common/sql/upgrades.py, _find_alembic_conf). Other services write it as %%.
    """
    if re.search(r"[^A-Za-z0-9_.~-]", text):
        raise dialects.DialectError(
            "keystone's migrations take only letters, digits and - . _ ~; choose another password"
        )
    return database(text)


def heat_key(text: str) -> str:
    """Return a key of heat's, whose characters are the bytes of an AES key."""
    if not text.isascii() or len(text) not in (16, 24, 32):
        raise dialects.DialectError("heat takes a key of 32 characters of ASCII")
    return dialects.oslo(text)


Writer = Callable[[str], str]

WRITERS: dict[str, tuple[Writer, ...]] = {
    "ca_certificate": (),
    "ca_key": (),
    "database_keystone": (keystone_database,),
    "database_*": (database,),
    "queue_*": (dialects.one_line,),
    "keepalived_*": (dialects.keepalived,),
    "erlang_cookie": (dialects.erlang_cookie,),
    "keystone_admin": (dialects.one_line,),
    "memcache_secret_key": (dialects.one_line,),
    "horizon_secret_key": (dialects.one_line,),
    "heat_auth_encryption_key": (heat_key,),
    "service_glance": (dialects.oslo, dialects.glance_store),
    "service_swift": (dialects.oslo, dialects.swift),
    "service_swift_dispersion": (dialects.configparser,),
    "swift_hash_path_*": (dialects.swift_hash,),
    "*": (dialects.oslo,),
}
"""Writers of secrets by pattern of the name; the first match counts. A writer may refuse values."""


def writers(name: str) -> tuple[Writer, ...]:
    """Return the writers of the secret `name`, for files and clients."""
    return next(made for pattern, made in WRITERS.items() if fnmatchcase(name, pattern))


TEMPLATE = re.compile(r"\{\{|\{%|\{#")
EXPRESSION = re.compile(r"\s*\{\{(?:(?!\{\{|\}\}).)*\}\}\s*", re.DOTALL)


def problems(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the problems of secrets' values, by name; the text never contains the value.

    `values` is cairn_secrets; missing secrets are not checked here.
    """
    found = {}
    for name, value in values.items():
        if value is None or value == "":
            continue
        try:
            text = dialects.text(value)
            for writer in writers(name):
                writer(text)
        except dialects.DialectError as error:
            found[name] = str(error)
    return found


def not_text(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets whose values YAML did not read as text."""
    return {
        name: why for name, why in problems(values).items() if not isinstance(values[name], str)
    }


def templates(values: Mapping[str, Any], is_template: Callable[[str], bool]) -> dict[str, str]:
    """Return the values, as written in the file, of which Ansible would change a part.

    An expression that is the whole value, such as a lookup, is intended. `is_template` is whether
    Ansible treats a value as a template (not with `!unsafe`).
    """
    found = {}
    for name, value in values.items():
        if not isinstance(value, str) or not is_template(value) or EXPRESSION.fullmatch(value):
            continue
        if opening := TEMPLATE.search(value):
            found[name] = f"{opening[0]} starts a template of Ansible's; write it as !unsafe '…'"
    return found


def required(
    services: Mapping[str, Mapping[str, Any]], planes: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return every secret that a site needs as {name: kind}.

    `services` maps a role's name to its service description, `planes` is the site's cairn_planes.
    They follow from a description's `databases`, `queue`, `catalog` and `secrets: {name: kind}`.
    Raises SecretsError for an invalid name or kind.
    """
    wanted = dict(SHARED)
    for plane, settings in planes.items():
        if settings.get("vip"):
            wanted[f"keepalived_{plane}"] = "vrrp"
    for role, service in services.items():
        if service.get("databases"):
            wanted[f"database_{role}"] = "password"
        if service.get("queue"):
            wanted[f"queue_{role}"] = "password"
        for entry in catalog_entries(service.get("catalog")):
            wanted[f"service_{entry.get('user', role)}"] = "password"
            if domain := entry.get("domain"):
                wanted[f"service_{domain['admin']}"] = "password"
        for name, kind in (service.get("secrets") or {}).items():
            where = f"roles/{role}/vars/main.yml: secrets: {name}"
            if not NAME.fullmatch(name):
                raise SecretsError(f"{where}: a name consists of lower case letters, digits and _")
            if kind not in GENERATORS:
                raise SecretsError(f"{where}: kind {kind!r}: use one of {', '.join(GENERATORS)}")
            if wanted.setdefault(name, kind) != kind:
                raise SecretsError(f"{where}: kind {kind!r}, but {wanted[name]!r} elsewhere")
    return wanted


def missing(wanted: Mapping[str, str], have: Mapping[str, Any]) -> list[str]:
    """Return the sorted names in `wanted` that are missing or empty in `have`.

    Values that YAML did not read as text, such as `no` or 0, are not missing.
    """
    return sorted(name for name in wanted if have.get(name) is None or have[name] == "")


def complete(wanted: Mapping[str, str], have: Mapping[str, Any]) -> dict[str, Any]:
    """Return `have` with a new value for each missing name; existing values are kept.

    Raises SecretsError if only one of the CA's certificate and key exists: a new pair would
    invalidate every certificate of the site, and half a pair cannot be completed.
    """
    lacking = missing(wanted, have)
    halves = {"ca_certificate", "ca_key"} & set(lacking)
    result = dict(have)
    if len(halves) == 1:
        half = halves.pop()
        there = "ca_key" if half == "ca_certificate" else "ca_certificate"
        raise SecretsError(
            f"{there} is there but {half} is not: restore {half} from a backup, or remove both "
            "for a new CA (every host then gets a new certificate)"
        )
    if halves:
        result["ca_certificate"], result["ca_key"] = certificate_authority()
    for name in lacking:
        if name not in halves:
            result[name] = GENERATORS[wanted[name]]()
    return result
