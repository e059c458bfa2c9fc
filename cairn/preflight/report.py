"""Findings as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from .finding import Finding


def table(findings: Iterable[Finding], width: int = 100) -> str:
    """All findings, errors first; one that several hosts share is one entry.

    What is wrong in the middle column, what to do about it below, behind an arrow.
    """
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    for f in sorted(findings, key=lambda f: (f.severity, f.check)):
        merged.setdefault((f.severity, f.check, f.text, f.remedy), []).append(f.host or "site")
    if not merged:
        return ""
    checks = max(len(check) for _, check, _, _ in merged)
    indent = 9 + checks + 2
    lines = []
    for (severity, check, text, remedy), hosts in merged.items():
        head = f"{severity.upper():9}{check:{checks}}  "
        said = f"{', '.join(dict.fromkeys(hosts))}: {text}"
        lines += textwrap.wrap(said, width, initial_indent=head, subsequent_indent=" " * indent)
        lines += textwrap.wrap(
            remedy,
            width,
            initial_indent=" " * indent + "→ ",
            subsequent_indent=" " * (indent + 2),
        )
    return "\n".join(lines)
