"""INI files for oslo.config: merging of sections with an operator's, and rendering."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import DescriptionError

Sections = dict[str, dict[str, Any]]


class OsloError(DescriptionError):
    """A description or an override that cannot be written as an INI file; the text says which."""


def merge(
    *layers: Mapping[str, Mapping[str, Any]],
) -> Sections:
    """Return the union of INI layers; later ones override single options, null removes one."""
    merged: Sections = {}
    for layer in layers:
        for section, options in (layer or {}).items():
            if not isinstance(options, Mapping):
                raise OsloError(f"[{section}] must be a mapping of options, not {options!r}")
            merged.setdefault(section, {}).update(options)
    return {
        section: kept
        for section, options in merged.items()
        if (kept := {name: value for name, value in options.items() if value is not None})
    }


def render_value(value: Any) -> list[str]:
    """Return the text of a value, one string per line of the option.

    Lists are joined by commas; `{multi: [...]}` repeats the option (oslo's MultiOpt); mappings
    become `key:value` pairs (oslo's DictOpt).
    """
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, Mapping):
        if set(value) == {"multi"}:
            return [text for item in value["multi"] for text in render_value(item)]
        return [",".join(f"{key}:{_word(item)}" for key, item in value.items())]
    if isinstance(value, (list, tuple)):
        return [",".join(_word(item) for item in value)]
    text = str(value)
    if "\n" in text or "\r" in text:
        raise OsloError(f"a value with several lines: {text.splitlines()[0]!r} …; use one line")
    return [text]


def _word(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        raise OsloError(f"a list or mapping within another one: {value!r}")
    return render_value(value)[0]


def render_ini(
    sections: Mapping[str, Mapping[str, Any]],
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    header: str = "",
) -> str:
    """Return the text of an INI file: `sections` with `overrides` on top, in the order given.

    `header` is a comment at the top. [DEFAULT] comes first, as in oslo's own samples. Raises
    OsloError, with section and option, for values that cannot be written.
    """
    merged = merge(sections, overrides or {})
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    for section in sorted(merged, key=lambda name: name != "DEFAULT"):
        if not re.fullmatch(r"[^\[\]\n]+", section):
            raise OsloError(f"{section!r} is no name of a section")
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        for option, value in merged[section].items():
            try:
                texts = render_value(value)
            except OsloError as error:
                raise OsloError(f"[{section}] {option}: {error}") from None
            lines += [f"{option} = {text}".rstrip() for text in texts]
    return "\n".join(lines) + "\n"
