"""Roles repeat nothing of one another: what two of them need is made once."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

LINES = 6
KINDS = (".yml", ".j2", ".py", ".sh")


def code(path: Path) -> list[str]:
    """The lines of a file without comments, blank lines and white space."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#") and line != "---"]


def test_no_two_roles_share_six_lines(root: Path) -> None:
    seen: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in sorted((root / "roles").rglob("*")):
        # Every role says the same of its licence and platform there, as Galaxy wants it.
        if path.suffix not in KINDS or (path.parent.name == "meta" and path.name == "main.yml"):
            continue
        lines = code(path)
        for start in range(len(lines) - LINES + 1):
            role = path.relative_to(root / "roles").parts[0]
            seen[tuple(lines[start : start + LINES])].add(role)
    assert len(seen) > 1000
    assert [(sorted(roles), run[0]) for run, roles in seen.items() if len(roles) > 1] == []
