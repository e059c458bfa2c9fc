"""Markdown for the pages of the reference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

MARK = "<!-- Made by `make docs`"
# Ansible's marks in descriptions: C(code), V(value), O(option), I(emphasis), B(strong).
MARKS = re.compile(r"\b([CVOIB])\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


def made(*sources: str) -> str:
    """The line that names the sources of a page."""
    return f"{MARK} from {', '.join(sources)}: change those. -->\n"


def code(text: Any) -> str:
    """A text as code, even with backquotes; an empty text stays empty."""
    plain = " ".join(str(text).split())
    if not plain:
        return ""
    fence = "``" if "`" in plain else "`"
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def codes(texts: Iterable[Any], between: str = ", ") -> str:
    """Several texts as code."""
    return between.join(code(text) for text in texts)


def prose(description: Any) -> str:
    """The description of an argument spec (a text or a list of paragraphs) as one paragraph."""
    parts = description if isinstance(description, list) else [description or ""]
    return " ".join(_marked(" ".join(str(part).split())) for part in parts)


def _marked(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        kind, inner = match.groups()
        return {"I": f"*{inner}*", "B": f"**{inner}**"}.get(kind, code(inner))

    return MARKS.sub(replace, text)


def first_sentence(text: str) -> str:
    """The first sentence of a paragraph."""
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", text, maxsplit=1)[0]


def cell(text: Any) -> str:
    """A text for the cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table without its empty columns; an empty text without rows."""
    body = [[cell(value) for value in row] for row in rows]
    if not body:
        return ""
    kept = [n for n in range(len(head)) if any(row[n] for row in body)]
    lines = [
        [head[n] for n in kept],
        ["---"] * len(kept),
        *[[row[n] for n in kept] for row in body],
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def literal(value: Any) -> str:
    """A value as YAML writes it on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def section(title: str, *parts: str, level: int = 2) -> str:
    """A section of its parts that are not empty; an empty text without any."""
    body = [part.strip("\n") for part in parts if part.strip()]
    return "\n\n".join([f"{'#' * level} {title}", *body]) + "\n" if body else ""


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([f"# {title}", *(p.strip("\n") for p in parts if p.strip())]) + "\n"
