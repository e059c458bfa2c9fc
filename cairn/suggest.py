"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name closest to a misspelt one; None if none is similar.

    likeness: the minimum ratio (difflib.SequenceMatcher), from 0 to 1.
    """
    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=likeness)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause to append to "unknown x": the nearest known name, else all known ones, else ""."""
    known = sorted(known)
    match = nearest(name, known)
    if match:
        return f"; did you mean {match}?"
    return f"; known are {', '.join(known)}" if known else ""
