"""The complaints that are known and harmless: `known.yml`, and what a search finds besides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from .complaints import Complaint

LIST = Path(__file__).with_name("known.yml")


@dataclass
class Known:
    """A harmless complaint: globs of its unit, a pattern of its text, and the reason."""

    unit: str
    pattern: re.Pattern[str]
    reason: str
    seldom: bool = False
    matched: int = 0

    def __str__(self) -> str:
        """What identifies it."""
        return f"{self.unit}: {self.pattern.pattern}"

    def fits(self, complaint: Complaint) -> bool:
        """Whether the complaint is this one."""
        unit = complaint.lines[0].unit
        return fnmatchcase(unit, self.unit) and self.pattern.search(complaint.text) is not None


@dataclass
class Report:
    """What a search has found: `unknown` complaints by unit and summary, entries never met."""

    unknown: dict[tuple[str, str], list[Complaint]] = field(default_factory=dict)
    stale: list[Known] = field(default_factory=list)

    def __str__(self) -> str:
        """Every unknown complaint once, with how often and where it was met."""
        lines = []
        for (unit, summary), met in sorted(self.unknown.items(), key=lambda one: -len(one[1])):
            hosts = ", ".join(sorted({one.lines[0].host for one in met}))
            lines.append(f"{len(met)} x {unit} on {hosts} ({met[0].kind}): {summary}")
        return "\n".join(lines)


def load(path: Path = LIST) -> list[Known]:
    """The list of harmless complaints; ValueError with what is wrong with an entry."""
    found = []
    for number, entry in enumerate(yaml.safe_load(path.read_text()) or [], 1):
        where = f"{path.name}, entry {number}"
        if not isinstance(entry, Mapping) or set(entry) - {"seldom"} != {"unit", "text", "reason"}:
            raise ValueError(f"{where}: needs unit, text and reason, and may have seldom: {entry}")
        if len(entry["reason"].split()) < 4:
            raise ValueError(f"{where}: the reason says why it is harmless, in a sentence")
        try:
            pattern = re.compile(entry["text"])
        except re.error as error:
            raise ValueError(f"{where}: text is no pattern: {error}") from error
        if pattern.search(""):
            raise ValueError(f"{where}: text matches everything")
        seldom = bool(entry.get("seldom", False))
        found.append(Known(entry["unit"], pattern, entry["reason"], seldom))
    return found


def search(found: Iterable[Complaint], known: Sequence[Known]) -> Report:
    """Which complaints nobody knows, and which entries of the list (but seldom ones) met none."""
    report = Report()
    for complaint in found:
        fitting = [entry for entry in known if entry.fits(complaint)]
        for entry in fitting:
            entry.matched += 1
        if not fitting:
            unit = complaint.lines[0].unit
            report.unknown.setdefault((unit, general(complaint.summary)), []).append(complaint)
    report.stale = [entry for entry in known if not entry.matched and not entry.seldom]
    return report


def general(text: str) -> str:
    """A text without what differs from time to time: times, numbers of processes, ids."""
    text = re.sub(r"^\d{4}-\d\d-\d\d \S+ \d+ ", "", text)
    text = re.sub(r"\[[^]]*req-[^]]*\] ", "", text)
    text = re.sub(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", "<id>", text)
    text = re.sub(r"\btx[0-9a-f]{21}-[0-9a-f]+", "<tx>", text)
    return re.sub(r"0x[0-9a-f]+|\b\d{2,}\b", "<n>", text)


def as_json(report: Report) -> dict[str, Any]:
    """A report as plain data."""
    return {
        "unknown": [
            {
                "unit": unit,
                "summary": summary,
                "count": len(met),
                "hosts": sorted({one.lines[0].host for one in met}),
                "first": met[0].text,
            }
            for (unit, summary), met in report.unknown.items()
        ],
        "stale": [str(entry) for entry in report.stale],
    }
