"""The trace of an instance's creation: which of its steps are proved, and by what evidence.

A step is proved by the strongest clue found for it. A clue is a line in a service's own journal
that carries the request's id, or a fact that an API or libvirt reported. Nothing here does any I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .steps import STEPS, Journal, Reported, Step

# Tolerated difference of the hosts' clocks, in seconds.
CLOCK_TOLERANCE = 2.0
SHOWN_LINES = 12
SHOWN_LENGTH = 160


@dataclass(frozen=True)
class Line:
    """One line of a host's journal."""

    time: float  # seconds since the epoch, by the host's clock
    host: str
    unit: str
    text: str


@dataclass(frozen=True)
class Fact:
    """Something that an API or libvirt reported: its name, when it was true, in words."""

    name: str
    time: float
    text: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step: `state` is proved, missing or absent (service not deployed)."""

    step: Step
    state: str
    time: float = 0.0
    where: str = ""
    text: str = ""


@dataclass(frozen=True)
class Trace:
    """All evidence of one creation.

    `ids` fills the placeholders of patterns; `requests` are the ids that lines must contain;
    `began` and `accepted` are the times of the token's request and of the server request's answer.
    """

    began: float
    accepted: float
    ids: Mapping[str, str]
    requests: Sequence[str]
    facts: Mapping[str, Fact]
    lines: Sequence[Line]
    services: frozenset[str]

    def find(self, clue: Journal | Reported) -> Outcome | None:
        """The earliest evidence that the clue finds, as an outcome without its step."""
        if isinstance(clue, Reported):
            fact = self.facts.get(clue.fact)
            return Outcome(NO_STEP, "proved", fact.time, clue.by, fact.text) if fact else None
        if any(name not in self.ids for name in re.findall(r"{(\w+)}", clue.pattern)):
            return None  # the creation ended before this id was known
        filled = re.sub(r"{(\w+)}", lambda m: re.escape(self.ids[m[1]]), clue.pattern)
        pattern = re.compile(filled)
        for line in self.lines:
            if not line.unit.startswith(clue.unit) or not pattern.search(line.text):
                continue
            if self._counts(line, clue):
                where = f"{line.host} {line.unit}"
                return Outcome(NO_STEP, "proved", line.time, where, clue.says or message(line.text))
        return None

    def _counts(self, line: Line, clue: Journal) -> bool:
        if clue.window:
            end = self.accepted if clue.window == "call" else math.inf
            return self.began - CLOCK_TOLERANCE <= line.time <= end + CLOCK_TOLERANCE
        return any(request in line.text for request in self.requests)


NO_STEP = Step(0, "", "")

# oslo.log: date, time, process, level, logger, the request's ids and user, perhaps the instance
_OSLO = re.compile(r"^\S+ \S+ \d+ ([A-Z]+ \S+) \[[^]]*\] (?:\[instance: [^]]*\] )?")


# Lines of a traceback have oslo.log's head, but no ids of a request.
TRACEBACK = re.compile(r"\s|$|Traceback|\d{4}-\d\d-\d\d \S+ \d+ (ERROR|CRITICAL) ")


def message(text: str) -> str:
    """The message of a line of oslo.log, without its prefix; other lines unchanged."""
    return _OSLO.sub("", text)


def level_and_message(text: str) -> str:
    """The message with level and logger."""
    return _OSLO.sub(r"\1: ", text)


def follow(trace: Trace, steps: Iterable[Step] = STEPS) -> list[Outcome]:
    """The outcome of each step, in order."""
    outcomes = []
    for step in steps:
        if step.needs and step.needs not in trace.services:
            outcomes.append(Outcome(step, "absent", text="not deployed"))
            continue
        found = next(filter(None, map(trace.find, step.clues)), None)
        if found is None:
            outcomes.append(Outcome(step, "missing"))
        else:
            outcomes.append(Outcome(step, "proved", found.time, found.where, found.text))
    return outcomes


def table(outcomes: Sequence[Outcome], began: float) -> list[str]:
    """The steps as lines of text: number, seconds since `began`, title, evidence."""
    rows = []
    for outcome in outcomes:
        mark = {"proved": "✓", "absent": "·", "missing": "✗"}[outcome.state]
        after = f"{max(outcome.time - began, 0.0):.1f} s" if outcome.state == "proved" else ""
        rows.append(f"{mark} {outcome.step.number:2} {after:>7}  {outcome.step.title}")
        if outcome.state == "proved":
            rows.append(f"{'':14}{outcome.where}: {short(outcome.text)}")
        else:
            rows.append(f"{'':14}{outcome.text or 'no evidence: ' + outcome.step.expected}")
    return rows


def short(text: str) -> str:
    """One line of bounded length."""
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_LENGTH else flat[: SHOWN_LENGTH - 1] + "…"


def failure(
    outcomes: Sequence[Outcome],
    trace: Trace,
    errors: Sequence[Line],
    silent: Sequence[str],
    problem: str,
) -> str | None:
    """Why the creation is not proved; None if it is.

    Names the first step without evidence, the expected evidence and its source, and the last
    journal lines of the units concerned. `silent` are hosts whose journal could not be read,
    `problem` is the error that stopped the client, if any.
    """
    missing = [outcome.step for outcome in outcomes if outcome.state == "missing"]
    if not missing and not problem:
        return None
    text = [problem] if problem else []
    lines: list[Line] = list(errors)
    if missing:
        step = missing[0]
        text.append(f"step {step.number}, {step.title}: no evidence")
        text.append(f"  expected: {step.expected}")
        text.append(f"  looked in: {'; '.join(clue.where() for clue in step.clues)}")
        if len(missing) > 1:
            later = ", ".join(str(one.number) for one in missing[1:])
            text.append(f"  without evidence too: {later}")
        units = tuple(clue.unit for clue in step.clues if isinstance(clue, Journal))
        lines += [line for line in trace.lines if units and line.unit.startswith(units)]
    if silent:
        text.append(f"  no journal could be read on: {', '.join(silent)}")
    last = sorted(set(lines), key=lambda line: line.time)[-SHOWN_LINES:]
    if last:
        text.append("  the last journal lines that concern it:")
    text += [f"    {line.host} {line.unit}: {short(level_and_message(line.text))}" for line in last]
    return "\n".join(text)


def complaints(errors: Sequence[Line]) -> list[str]:
    """Errors that services logged during the run, each once; they may stem from other requests.

    Other users' requests may be among the reasons. A traceback is shown by its first line.
    """
    met: dict[str, int] = {}
    for line in errors:
        said = message(line.text)
        if TRACEBACK.match(said):
            continue
        text = f"{line.host} {line.unit}: {short(said)}"
        met[text] = met.get(text, 0) + 1
    rows = [f"! {text}" + (f" ({count} times)" if count > 1 else "") for text, count in met.items()]
    if len(rows) > SHOWN_LINES:
        rows = [*rows[:SHOWN_LINES], f"! and {len(rows) - SHOWN_LINES} more"]
    return ["errors in the services' journals meanwhile:", *rows] if rows else []


def gathered(results: Mapping[str, Mapping[str, Any]], key: str = "lines") -> list[Line]:
    """The hosts' lines (`key`: lines or errors), sorted by time."""
    lines = [
        Line(float(one["time"]), host, str(one["unit"]), str(one["text"]))
        for host, result in results.items()
        for one in result.get(key, ())
    ]
    return sorted(lines, key=lambda line: line.time)
