"""Placeholders: names in a message for what depends on a site."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

OPEN, CLOSE = "\x01", "\x02"  # around the name of a placeholder
MAYBE, END = "\x03", "\x04"  # around a part that some findings lack
# What the page calls values whose names in the code say too little.
NAMES = {
    "addresses": "address",
    "api": "name",
    "arch": "architecture",
    "attachments": "planes",
    "beyond": "address",
    "bond_of": "bond",
    "call": "seconds",
    "changes": "services",
    "choice": "services",
    "contained": "contents",
    "count": "number",
    "count - 1": "one less",
    "cpus": "number",
    "end": "date",
    "first": "services",
    "flats": "names",
    "forks": "number",
    "former": "former name",
    "found": "device",
    "free": "number",
    "fronts": "public address",
    "gateway": "address",
    "host_range": "range",
    "id": "system",
    "instead": "other path",
    "internal": "internal name",
    "keepers": "hosts",
    "known": "names",
    "label": "part",
    "leader": "first controller",
    "len": "number",
    "lent": "address",
    "mac": "MAC address",
    "match": "similar name",
    "max_mtu": "MTU",
    "members": "value",
    "memory_mb": "number",
    "mended": "network",
    "missing": "names",
    "mode": "value",
    "mount": "mount point",
    "moves": "services",
    "mtu": "MTU",
    "near": "similar name",
    "needed": "minimum",
    "needing": "group",
    "nic name": "NIC name",
    "nic_name": "NIC name",
    "offset": "seconds",
    "own": "interface",
    "own_mtu": "MTU",
    "parent_mtu": "MTU",
    "part": "range",
    "pid": "process id",
    "place": "file and line",
    "point": "address",
    "proposal": "valid name",
    "public": "public name",
    "python": "version",
    "qualified": "controllers",
    "rest": "controllers",
    "same": "other host",
    "seen": "other plane",
    "shown": "characters",
    "side": "internal or public",
    "since": "time",
    "some": "names",
    "start": "date",
    "subjects": "names",
    "there": "names",
    "until": "version",
    "url": "URL",
    "used": "reason",
    "vip": "VIP",
    "vips": "VIP",
    "vlan": "VLAN id",
    "wanted": "value",
    "what": "entry",
    "why": "reason",
    "window": "seconds",
}
PLACEHOLDER = re.compile(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}")
OPTIONAL = re.compile(f"{MAYBE}[^{MAYBE}{END}]*{END}")


def placeholder(name: str) -> str:
    """A value that only a run knows."""
    return f"{OPEN}{NAMES.get(name, name.strip('_').replace('_', ' '))}{CLOSE}"


def is_unknown(value: Any) -> bool:
    """Whether a value, or a part of it, depends on a run."""
    if isinstance(value, str):
        return OPEN in value
    if isinstance(value, Mapping):
        return any(map(is_unknown, (*value, *value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(is_unknown, value))
    return False


def is_bare(value: Any) -> bool:
    """Whether a text consists of placeholders, punctuation and parts that may be left out."""
    if not isinstance(value, str) or not is_unknown(value):
        return False
    return not re.search(r"\w", PLACEHOLDER.sub("", OPTIONAL.sub("", value)).replace("_", ""))


def name_of(node: ast.AST) -> str:
    """The name under which a reader recognises the value of an expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
        container = name_of(node.value)
        return container if container in NAMES else container.removesuffix("s")
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "len":
            return "len"
        if node.args:
            return name_of(node.args[0])
        return name_of(getattr(node.func, "value", node.func))
    if isinstance(node, ast.BinOp):
        return ast.unparse(node) if isinstance(node.left, ast.Name) else "number"
    if isinstance(node, ast.BoolOp):
        return name_of(node.values[0])
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return name_of(node.generators[0].iter)
    if isinstance(node, ast.Starred | ast.FormattedValue):
        return name_of(node.value)
    return "…"
