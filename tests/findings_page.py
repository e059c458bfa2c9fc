"""docs/reference/findings.md as a reader has it: whether a finding is on it."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from cairn import PROJECT

PAGE = PROJECT / "docs/reference/findings.md"
SPAN = re.compile(r"\*[^*|]+\*|\[[^\[\]]*\*[^\[\]]*\]|\[[;, (][^\[\]]*\]|\b(?:is/are|does/do)\b")


class Row(NamedTuple):
    """A row of the page: the levels of a finding, and patterns of its text and of its remedies."""

    levels: tuple[str, ...]
    text: re.Pattern[str]
    remedies: tuple[re.Pattern[str], ...]


def pattern(text: str) -> re.Pattern[str]:
    """What a text of the page stands for: *anything*, [an optional part], one/other."""

    def part(found: str) -> str:
        if found.startswith("["):
            return f"(?:{pattern(found[1:-1]).pattern})?"
        if found.startswith("*"):
            return ".*"
        return f"(?:{found.replace('/', '|')}|{re.escape(found)})"

    made, end = "", 0
    for match in SPAN.finditer(text):
        made += re.escape(text[end : match.start()]) + part(match[0])
        end = match.end()
    return re.compile(made + re.escape(text[end:]), re.S)


@cache
def rows() -> dict[str, list[Row]]:
    """The rows of the page by check."""
    found: dict[str, list[Row]] = {}
    check = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            check = line[3:]
        elif check and line.startswith("| ") and not line.startswith(("| ---", "| level", "| var")):
            cells = [c.replace("\\|", "|").strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
            if check == "planes":
                variable, text = cells[0], cells[-1]
                row = Row((variable.strip("`"),), pattern(text), ())
            else:
                level, *_, text, remedy = cells
                remedies = tuple(map(pattern, remedy.split(" *or* ")))
                row = Row(tuple(level.split(" or ")), pattern(text), remedies)
            found.setdefault(check, []).append(row)
    return found


def is_on_the_page(check: str, level: str, text: str, remedy: str = "") -> bool:
    """Whether the page has a finding; the level of a mistake in the planes is its variable."""
    return any(
        level in row.levels
        and any(row.text.fullmatch(shown) for shown in (text, " ".join(text.split())))
        and (not row.remedies or any(p.fullmatch(remedy) for p in row.remedies))
        for row in rows().get(check, ())
    )
