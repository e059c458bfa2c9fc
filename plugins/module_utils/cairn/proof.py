"""The 24 steps of an instance's creation: what proves each of them, and whether it was found.

A step is proved by the strongest clue found for it. A clue is a line in a service's own journal
that carries the request's id, or a fact that an API or libvirt told. Nothing here does any I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Clocks of hosts may differ by this much before times of their journals are held against us.
CLOCK_TOLERANCE = 2.0
SHOWN_LINES = 12
SHOWN_LENGTH = 160

# Lines about tokens carry no id of the request that needed them: hosts send all of the window.
SIGN_INS = r'"(GET|POST) /v3/auth/tokens[^"]*" status: '
UNITS = ("keystone*", "glance*", "placement*", "nova*", "neutron*")


@dataclass(frozen=True)
class Line:
    """One line of a host's journal."""

    time: float  # seconds since the epoch, by the host's clock
    host: str
    unit: str
    text: str


@dataclass(frozen=True)
class Fact:
    """Something that an API or libvirt told: its name, when it was true, in words."""

    name: str
    time: float
    text: str


@dataclass(frozen=True)
class Journal:
    """A clue: a line of a unit whose name begins with `unit`.

    `pattern` is a regular expression with {placeholders} for the ids of the trace. A line counts
    only if it has one of the request's ids. What carries none is counted by time: `window` is
    `call` (between the client's call and its answer) or `build` (from the call on).
    """

    unit: str
    pattern: str
    says: str
    window: str = ""

    def where(self) -> str:
        """Where one would look for it."""
        return f"the journal of {self.unit}* for /{self.pattern}/"


@dataclass(frozen=True)
class Told:
    """A clue: a fact by its name; `by` says who tells it."""

    fact: str
    by: str

    def where(self) -> str:
        """Where one would look for it."""
        return self.by


@dataclass(frozen=True)
class Step:
    """A step of the creation and its clues, the strongest first."""

    number: int
    title: str
    expected: str
    clues: tuple[Journal | Told, ...] = ()
    needs: str | None = None  # service type in the catalog without which there is no such step


@dataclass(frozen=True)
class Outcome:
    """What became of a step: `state` is proved, missing or absent (service not deployed)."""

    step: Step
    state: str
    time: float = 0.0
    where: str = ""
    text: str = ""


@dataclass(frozen=True)
class Trace:
    """Everything known about one creation.

    `ids` fills the placeholders of patterns; `requests` are the ids that lines must carry; `began`
    and `accepted` are when the token was asked for and the server request was answered.
    """

    began: float
    accepted: float
    ids: Mapping[str, str]
    requests: Sequence[str]
    facts: Mapping[str, Fact]
    lines: Sequence[Line]
    services: frozenset[str]

    def find(self, clue: Journal | Told) -> Outcome | None:
        """The earliest evidence that the clue finds, as an outcome without its step."""
        if isinstance(clue, Told):
            fact = self.facts.get(clue.fact)
            return Outcome(NO_STEP, "proved", fact.time, clue.by, fact.text) if fact else None
        if any(name not in self.ids for name in re.findall(r"{(\w+)}", clue.pattern)):
            return None  # the creation did not come so far that this id is known
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

# How uWSGI's and the services' own request logs tell a request: "METHOD path" status: NNN
_CHECK = r'"GET /v3/auth/tokens[^"]*" status: 200 .*agent: "{}/'


def _checked_by(service: str, window: str = "build") -> Journal:
    says = f"keystone was asked by {service}'s own token check"
    return Journal("keystone", _CHECK.format(service), says, window)


_EVENT = Told("build_event", "nova's list of actions")

STEPS: tuple[Step, ...] = (
    Step(
        1,
        "the client sends its credentials to keystone",
        "keystone logs a POST of /v3/auth/tokens with the client's request id",
        (
            Journal("keystone", r'"POST /v3/auth/tokens" status: 201 ', "POST /v3/auth/tokens 201"),
            Told("token", "keystone's answer"),
        ),
    ),
    Step(
        2,
        "keystone checks them, answers with a token and the catalog",
        "the answer holds a token of the user for the project, and a catalog",
        (Told("token", "keystone's answer"),),
    ),
    Step(
        3,
        "the client asks nova-api for an instance, with the token",
        "nova-api logs a POST of /servers with the client's request id",
        (
            Journal("nova", r'"POST /v2.1/servers" status: 202 ', "POST /v2.1/servers 202"),
            Told("accepted", "nova-api's answer"),
        ),
    ),
    Step(
        4,
        "nova-api asks keystone whether the token is good",
        "keystone logs a GET of /v3/auth/tokens by nova's token check",
        (_checked_by("nova", "call"),),
    ),
    Step(
        5,
        "keystone answers with user, project and roles",
        "nova-api acts for the user and project of the token, which only keystone could tell it",
        (
            Journal(
                "nova",
                r'{user} {project} .*"POST /v2.1/servers" status: 202 ',
                "nova-api logs the request as of this user and project",
            ),
            Told("owner", "nova-api's answer"),
        ),
    ),
    Step(
        6,
        "nova-api writes the instance's first record to the database",
        "the request is accepted with the id of a new instance",
        (Told("accepted", "nova-api's answer"),),
    ),
    Step(
        7,
        "the database has it: the instance is being built",
        "nova-api reads the record back",
        (Told("record", "nova-api's answer"),),
    ),
    Step(
        8,
        "nova-api passes the request to nova-conductor through RabbitMQ",
        "nova-conductor works on this request id: the action is its record",
        (Told("action", "nova's list of actions"),),
    ),
    Step(
        9,
        "nova-scheduler takes the request for a host from its queue",
        "nova-scheduler logs that it begins, or asks placement for candidates",
        (
            Journal(
                "nova-scheduler",
                r"Starting to schedule for instances: .*{server}",
                "Starting to schedule",
            ),
            Journal("placement", r'"GET /allocation_candidates', "asked placement for candidates"),
        ),
    ),
    Step(
        10,
        "nova-scheduler reads the hosts' state, filters and weighs them",
        "nova-scheduler logs the weighed hosts, or placement answers with candidates",
        (
            Journal("nova-scheduler", r"Weighed \[", ""),
            Journal(
                "placement",
                r'"GET /allocation_candidates[^"]*" status: 200 ',
                "placement answered with candidates",
            ),
        ),
    ),
    Step(
        11,
        "a host is chosen, its resources are claimed in placement",
        "placement holds an allocation for the instance",
        (
            Journal(
                "placement", r'"PUT /allocations/{server}" status: 204 ', "PUT /allocations/… 204"
            ),
            Told("allocation", "placement's answer"),
        ),
    ),
    Step(
        12,
        "nova-conductor sends the build to the chosen host's nova-compute",
        "nova-conductor logs the selected host, or nova-compute got its message",
        (Journal("nova-conductor", r"Selected host: {host}; ", "Selected host"), _EVENT),
    ),
    Step(
        13,
        "nova-compute takes the message from its queue",
        "nova-compute logs this request id",
        (Journal("nova-compute", r"", ""),),
    ),
    Step(
        14,
        "nova-compute asks nova-conductor for the instance",
        "the build is an event of the action: nova-compute has no other way to record it",
        (
            Journal(
                "nova-conductor",
                r"method: object_(class_)?action",
                "nova-conductor answered nova-compute's call",
            ),
            _EVENT,
        ),
    ),
    Step(
        15,
        "nova-conductor takes the call from the queue",
        "the build is an event of the action: nova-conductor recorded it",
        (
            Journal(
                "nova-conductor",
                r"Replied success message .*method: object_",
                "nova-conductor served nova-compute's call",
            ),
            _EVENT,
        ),
    ),
    Step(
        16,
        "nova-conductor reads the database",
        "the database has the instance's flavor",
        (Told("flavor", "nova-api's answer"),),
    ),
    Step(
        17,
        "nova-conductor answers with memory, processors and disk",
        "nova-compute claims them on its host",
        (Journal("nova-compute", r"{server}\] Claim successful on node", "Claim successful"),),
    ),
    Step(
        18,
        "nova-compute asks glance for the image, with the user's token",
        "glance logs a GET of the image with this request id",
        (Journal("glance", r'"GET /v2/images/{image}', "GET of the image"),),
    ),
    Step(
        19,
        "glance has the token checked and gives the image",
        "keystone logs glance's token check, or glance gives out an image private to the project",
        (
            _checked_by("glance"),
            Journal(
                "glance",
                r'"GET /v2/images/{image}/file" status: 200 ',
                "gave the project's private image (the token's check was still cached)",
            ),
        ),
    ),
    Step(
        20,
        "nova-compute asks neutron for a port",
        "neutron logs a POST of /v2.0/ports with this request id",
        (Journal("neutron", r'"POST /v2.0/ports[^"]*" status: 201 ', "POST /v2.0/ports 201"),),
    ),
    Step(
        21,
        "neutron has the token checked, binds the port to the host, DHCP is ready",
        "the port is active on the instance's host",
        (Told("port", "neutron's answer"),),
    ),
    Step(
        22,
        "nova-compute asks cinder for the volume",
        "cinder logs an attachment with this request id",
        (Journal("cinder-api", r'"POST /v3/[^"]*attachments" status: 200 ', "attachment made"),),
        needs="block-storage",
    ),
    Step(
        23,
        "cinder has the token checked and gives the connection",
        "cinder logs the attachment's connector with this request id",
        (Journal("cinder-api", r'"PUT /v3/[^"]*attachments/', "connector given"),),
        needs="block-storage",
    ),
    Step(
        24,
        "nova-compute has libvirt start the instance",
        "libvirt on the host runs a domain with the instance's id",
        (Told("domain", "libvirt"),),
    ),
)


# oslo.log: date, time, process, level, logger, the request's ids and user, perhaps the instance
_OSLO = re.compile(r"^\S+ \S+ \d+ ([A-Z]+ \S+) \[[^]]*\] (?:\[instance: [^]]*\] )?")


def message(text: str) -> str:
    """What a line of oslo.log says, without its head; other lines as they are."""
    return _OSLO.sub("", text)


def level_and_message(text: str) -> str:
    """The same, but with level and logger."""
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
    """The steps as lines of text: number, seconds since `began`, what happened, its evidence."""
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
    """Why the creation is not proved, or None if it is.

    Names the first step without evidence, what was expected, where it was looked for, and the last
    journal lines of the units concerned. `silent` are hosts whose journal could not be had,
    `problem` is what stopped the client, if anything did.
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


def gathered(results: Mapping[str, Mapping[str, Any]], key: str = "lines") -> list[Line]:
    """The lines that the hosts sent (`key`: lines or errors), by time."""
    lines = [
        Line(float(one["time"]), host, str(one["unit"]), str(one["text"]))
        for host, result in results.items()
        for one in result.get(key, ())
    ]
    return sorted(lines, key=lambda line: line.time)
