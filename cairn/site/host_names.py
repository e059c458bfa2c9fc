"""Valid names of hosts and APIs. Control node only.

RFC 1123 section 2.1 defines host names; Linux allows 64 characters (uname(2)), and resolvers take a
name that ends in a number for an IPv4 address.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

LINUX_LIMIT, DNS_LIMIT, LABEL_LIMIT = 64, 253, 63
NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def problem(name: str, limit: int = DNS_LIMIT) -> str:
    """The problem of a name, as the rest of a sentence; "" if it is valid."""
    if is_address(name):
        return "is an IP address"
    strange = sorted(set(re.findall(r"[^A-Za-z0-9.-]", name)))
    if strange:
        shown = ", ".join(map(repr, strange))
        return f"has {shown}; a host name consists of letters a-z, digits, dashes and dots"
    for label in name.split("."):
        if not label:
            return "has an empty part between, before or after its dots"
        if label.startswith("-") or label.endswith("-"):
            return f"has a dash at the start or end of {label!r}"
        if len(label) > LABEL_LIMIT:
            return f"has a part of {len(label)} characters; {LABEL_LIMIT} are allowed"
    if len(name) > limit:
        return f"has {len(name)} characters; {limit} are allowed"
    if NUMBER.fullmatch(name.rpartition(".")[2]):
        return "ends in a number, which resolvers take for an IP address"
    return ""


def host_problem(name: str) -> str:
    """The problem of a managed host's name; "" if it is valid."""
    if name.lower().split(".")[0] == "localhost":
        return "is what every machine calls itself: it leads to 127.0.0.1 everywhere"
    return problem(name, LINUX_LIMIT)


def proposal(name: str) -> str:
    """A valid host name that resembles the given name, "" if there is none."""
    if is_address(name):
        return ""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", name)
    parts = [part[:LABEL_LIMIT].strip("-") for part in plain.split(".")]
    found = ".".join(filter(None, parts))
    return found if found and not host_problem(found) else ""


def twins(names: Iterable[str]) -> dict[str, str]:
    """Names that differ from an earlier one in capital letters only, each with that one."""
    first: dict[str, str] = {}
    found = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            found[name] = other
    return found
