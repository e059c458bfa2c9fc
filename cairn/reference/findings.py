"""docs/reference/findings.md: all findings of preflight and their remedies, from the code."""

from __future__ import annotations

from collections.abc import Iterable

from .markdown import code, made, page, section, table
from .messages.placeholders import CLOSE, END, MAYBE, OPEN, is_unknown
from .messages.reader import Message
from .messages.sources import PREFLIGHT, SITE, STORAGE, TYPES, read_messages

HEAD = """\
Preflight shows all findings of all hosts at once, each with its remedy. An error stops the run
before anything is touched; a warning does not. This page lists every finding that Cairn can make.

- *Italics* stand for a name or value of your site.
- Brackets enclose a part that is shown only if it applies.
- **level**: where it is "error or warning", it depends on the host or the site.
- **about**: a finding on a host is shown as `compute3: …`, one on the whole site as `site: …`.

How preflight works: [preflight](../explanation/preflight.md). Search by what you see:
[troubleshoot](../troubleshoot.md).
"""
PLANES_HEAD = """\
Mistakes in the variables of the site and its networks. They are shown before everything else, each
as `host: finding (file)` or `site: finding (file)`, and all of them are errors. To mend one,
correct the variable in that file; [variables](variables.md) describes each.
"""
MARKS = str.maketrans({OPEN: "*", CLOSE: "*", MAYBE: "[", END: "]"})


def readable(text: str) -> str:
    """A text of a message as Markdown."""
    return text.replace("`*", "` *").translate(MARKS)


def rows(messages: Iterable[Message]) -> list[list[str]]:
    """The rows of a check: one for each text, with its levels and remedies."""
    remedies: dict[tuple[str, str, str], list[str]] = {}
    for m in messages:
        remedies.setdefault((m.severity, m.about, m.text), []).append(m.remedy)
    levels: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (level, about, text), given in remedies.items():
        levels.setdefault((about, text, tuple(given)), []).append(level)
    return [
        [" or ".join(sorted(level)), about, readable(text), " *or* ".join(map(readable, given))]
        for (about, text, given), level in levels.items()
    ]


def findings_page() -> str:
    """The whole page."""
    messages = list(read_messages().messages)
    checks = sorted({m.check for m in messages} - {"planes"})
    columns = ["level", "about", "finding", "what to do"]
    parts = [
        section(check, table(columns, rows(m for m in messages if m.check == check)))
        for check in checks
    ]
    planes = {(m.about, m.text): None for m in messages if m.check == "planes"}
    mistakes = [
        ["" if is_unknown(variable) else code(variable), readable(text)]
        for variable, text in sorted(planes)
    ]
    return page(
        "Findings of preflight",
        made(PREFLIGHT, STORAGE, *SITE, TYPES),
        HEAD,
        "Checks: " + ", ".join(f"[{code(check)}](#{check})" for check in ["planes", *checks]) + ".",
        section("planes", PLANES_HEAD, table(["variable", "finding"], mistakes)),
        *parts,
    )
