"""Findings as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from .finding import Finding


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """Wrap a text without splitting paths and options, so that they can be copied."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(findings: Iterable[Finding], width: int = 100) -> str:
    """All findings, errors first; a finding that several hosts share is one entry.

    The problem is in the middle column, its remedy below, after an arrow.
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
        lines += _wrapped(said, width, head, " " * indent)
        lines += _wrapped(remedy, width, " " * indent + "→ ", " " * (indent + 2))
    return "\n".join(lines)
