"""The blocks of a service's description, and what each of them holds.

A description that says a list where a mapping belongs, or a number for a name, is refused with
file, block and what it should be, before anything is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DescriptionError


@dataclass(frozen=True)
class Kind:
    """A type of single values: how messages call it, and what tells it from others."""

    title: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Each:
    """A list of such items."""

    item: Block


@dataclass(frozen=True)
class Named:
    """A mapping whose keys are names that the description chooses."""

    item: Block


@dataclass(frozen=True)
class Keys:
    """A mapping that has these keys, and no others."""

    known: Mapping[str, Block]


Block = Kind | Each | Named | Keys | tuple["Block", ...]
"""A tuple stands for one of several."""


def _whole(value: Any) -> bool:
    """A number, or the text of one: templates give either."""
    return not isinstance(value, bool) and re.fullmatch(r"\d+", str(value)) is not None


ANY = Kind("a value", lambda value: True)
NULL = Kind("null", lambda value: value is None)
TEXT = Kind("text", lambda value: isinstance(value, str))
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
WHOLE = Kind("a whole number", _whole)
WORD = Kind(
    "text or a number", lambda v: isinstance(v, str | int | float) and not isinstance(v, bool)
)
GROUPS = Each(TEXT)
COMMAND = Each(WORD)
OPTIONS = Named(ANY)

PLACE: dict[str, Block] = {"groups": GROUPS, "owner": TEXT, "group": TEXT, "mode": TEXT}
CATALOG = Keys(
    {
        **dict.fromkeys(("type", "name", "description", "path", "user"), TEXT),
        "port": WHOLE,
        "roles": Each(TEXT),
        "domain": Keys({"name": TEXT, "admin": TEXT}),
        "extra_roles": Each(TEXT),
    }
)
MOUNT = Keys(dict.fromkeys(("what", "where", "type", "options"), TEXT))
UNIT = Keys(
    {
        "groups": GROUPS,
        **dict.fromkeys(("wsgi", "static", "command"), (TEXT, NULL)),
        "distro": TRUTH,
        "port": (WHOLE, NULL),
        "processes": WHOLE,
        "threads": WHOLE,
        **dict.fromkeys(("uwsgi", "environment", "unit", "service"), OPTIONS),
        "sandbox": (TRUTH, OPTIONS),
        "config_files": (Each(TEXT), NULL),
        "health": (
            Keys(
                {
                    "http": TEXT,
                    "address": TEXT,
                    "command": COMMAND,
                    **dict.fromkeys(("tcp", "port", "active", "timeout"), WHOLE),
                }
            ),
            NULL,
        ),
        "frontend": (
            Keys(
                {
                    **dict.fromkeys(("public", "internal", "single_writer"), TRUTH),
                    **dict.fromkeys(("mode", "balance"), TEXT),
                    **dict.fromkeys(("timeout", "static"), (TEXT, NULL)),
                    **dict.fromkeys(
                        ("port", "server_port", "check_port", "redirect_from"), (WHOLE, NULL)
                    ),
                }
            ),
            NULL,
        ),
        **dict.fromkeys(("on_change", "state", "type", "plane"), TEXT),
        "dropin": (Named(OPTIONS), NULL),
        "enabled": TRUTH,
        "timer": (OPTIONS, NULL),
    }
)
DESCRIPTION = Keys(
    {
        "summary": TEXT,
        "optional": TRUTH,
        "with": TEXT,
        "after": Each(TEXT),
        "groups": GROUPS,
        "user": Keys(
            {
                **dict.fromkeys(("name", "home", "shell"), TEXT),
                "groups": Each(TEXT),
                "external": TRUTH,
            }
        ),
        "lock": TEXT,
        "distro_modules": Each(TEXT),
        "packages": Each(Keys({"names": Each(TEXT), "groups": GROUPS})),
        "directories": Each(Keys({"path": TEXT, **PLACE})),
        "config": Each(
            Keys(
                {
                    "file": TEXT,
                    **PLACE,
                    "oslo": OPTIONS,
                    "sections": Named(OPTIONS),
                    "namespaces": Each(TEXT),
                    "like": Named(Each(TEXT)),
                    "dialect": TEXT,
                    "secret": TRUTH,
                }
            )
        ),
        "files": Each(
            Keys(
                {
                    "path": TEXT,
                    **PLACE,
                    "content": WORD,
                    "template": TEXT,
                    "copy": TEXT,
                    "from_venv": TEXT,
                    "dialect": TEXT,
                    "secret": TRUTH,
                }
            )
        ),
        "build": Each(
            Keys(
                {
                    "folder": TEXT,
                    "groups": GROUPS,
                    "files": Each(TEXT),
                    "commands": Each(COMMAND),
                }
            )
        ),
        "units": Named(UNIT),
        "mounts": Each(MOUNT),
        "databases": Each(TEXT),
        "queue": (
            TRUTH,
            Keys({"policies": Each(Keys({"name": TEXT, "pattern": TEXT, "definition": OPTIONS}))}),
        ),
        "catalog": (CATALOG, Each(CATALOG)),
        "migrations": Each(
            Keys({"name": TEXT, "phase": TEXT, "command": TEXT, "inputs": ANY}),
        ),
        "validate": Each(COMMAND),
        "records": OPTIONS,
        "secrets": Named(TEXT),
        "sudoers": TEXT,
    }
)


def check(role: str, description: Any, name: str = "") -> None:
    """Raise DescriptionError for the first value that is not what belongs into its block.

    `description` may be a whole one, whose Jinja may still become anything, or, with its `name`,
    one block of it after templating.
    """
    wanted = DESCRIPTION.known[name] if name else DESCRIPTION
    if wrong := _wrong(description, wanted, templated=bool(name)):
        where = f"{role}_service" + (f".{name}" if name else "")
        raise DescriptionError(f"{where}{wrong} (roles/{role}/vars/main.yml)")


def _wrong(value: Any, wanted: Block, *, templated: bool) -> str:
    """What is wrong with a value or in it, behind the way to it; "" where nothing is."""
    if not templated and isinstance(value, str) and ("{{" in value or "{%" in value):
        return ""
    block = _fitting(value, wanted)
    if block is None:
        return f" is {shown(value)}; it must be {title(wanted)}"
    if isinstance(block, Each):
        for number, item in enumerate(value):
            if wrong := _wrong(item, block.item, templated=templated):
                return _item(number, item) + wrong
    elif isinstance(block, Named) and block.item is not ANY:
        for name, item in value.items():
            if wrong := _wrong(item, block.item, templated=templated):
                return f".{name}{wrong}"
    elif isinstance(block, Keys):
        for name, item in value.items():
            if name not in block.known:
                return f": unknown key {name!r}; known: {sorted(block.known)}"
            if wrong := _wrong(item, block.known[name], templated=templated):
                return f".{name}{wrong}"
    return ""


def _fitting(value: Any, wanted: Block) -> Block | None:
    """The block, or that of several, which a value of this type may be."""
    if isinstance(wanted, tuple):
        return next((one for one in wanted if _fitting(value, one)), None)
    if isinstance(wanted, Kind):
        return wanted if wanted.holds(value) else None
    types = (list, tuple) if isinstance(wanted, Each) else Mapping
    return wanted if isinstance(value, types) else None


def _item(number: int, item: Any) -> str:
    """An item of a list: by what it is called, if it is called anything."""
    names = ("file", "path", "folder", "name", "where", "type")
    known = item if isinstance(item, Mapping) else {}
    name = next((known[key] for key in names if isinstance(known.get(key), str)), None)
    return f"[{number}]" if name is None else f" {name}"


def title(block: Block) -> str:
    """What a block should be."""
    if isinstance(block, tuple):
        return " or ".join(title(one) for one in block)
    if isinstance(block, Kind):
        return block.title
    if isinstance(block, Each):
        kinds = {Each: "lists", Keys: "mappings", Named: "mappings"}
        return f"a list of {kinds.get(type(block.item)) or title(block.item)}"
    if isinstance(block, Keys):
        return f"a mapping with {', '.join(sorted(block.known))}"
    return "a mapping"


def shown(value: Any) -> str:
    """What a value is; not the value itself, for it may be secret."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, Mapping) else "a list"
