"""Finds complaints in journals: errors, tracebacks, failed units, warnings about configuration.

`journalctl --output=json … | python3 complaints.py` on a host prints those of its journal as JSON:
a journal is large, its complaints are few. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

FIELDS = ("MESSAGE", "PRIORITY", "_SYSTEMD_UNIT", "UNIT", "SYSLOG_IDENTIFIER", "_PID")
LONGEST = 2000
SHOWN = 300
# syslog(3): what is this or lower is an error, or a warning
ERROR, WARNING = 3, 4

# oslo.log: time, process, level, logger, the rest; lines of a traceback repeat the head.
OSLO = re.compile(
    r"^(?P<when>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) (?P<process>\d+) "
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) (?P<logger>\S+) (?P<text>.*)$",
    re.DOTALL,
)
# Errors of what does not log by oslo.log: MariaDB, RabbitMQ, HAProxy, OVN, libvirt, Python.
FOREIGN = re.compile(
    r"\[(ERROR|error|critical|ALERT|EMERG)\]|\|(ERR|EMER)\||: error : "
    r"|^(ERROR|CRITICAL)\b|\b(ERROR|CRITICAL):"
)
# A service's own warnings about its configuration.
CONFIGURATION = re.compile(
    r"Option \S+ from group \S+ is deprecated"
    r"|(not|never|isn't) (configured|defined|set\b|enabled)|(is|are) missing\b|does not exist"
    r"|misconfigur|will fail|could not be loaded|(unable|failed) to load|not supported"
    r"|(unknown|invalid|unrecogni[sz]ed|unexpected) (option|value|key|section|configuration)"
    r"|insecure|[Ii]gnoring .*(option|setting|config)|Check the /etc/",
    re.IGNORECASE,
)
# systemd about a file of ours: /etc/systemd/system/nova-api.service:12: Unknown key …
UNIT_FILE = re.compile(
    r"^/(etc|run)/\S+\.(service|socket|timer|mount|conf|network|link|netdev):\d+: "
)
FAILED_UNIT = re.compile(
    r"Failed with result|^Failed to (start|mount|listen|set up)|: Failed to \w+ |code=dumped"
    r"|Dependency failed for|start request repeated too quickly"
)
TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True)
class Line:
    """One record of a host's journal: seconds since the epoch, the unit that it is about, text."""

    time: float
    host: str
    unit: str
    process: str
    priority: int
    text: str


@dataclass
class Complaint:
    """Lines that belong together: an error with its traceback, or one line."""

    kind: str
    lines: list[Line]
    key: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All that was said."""
        return "\n".join(line.text for line in self.lines)

    @property
    def summary(self) -> str:
        """What it comes to: its first line and, of a traceback, the last."""
        first, last = self.lines[0].text, self.lines[-1].text
        found = OSLO.match(last)
        end = (found["text"] if found else last).strip()
        return first[:SHOWN] if len(self.lines) == 1 else f"{first[:SHOWN]} … {end[:SHOWN]}"


def read(host: str, output: Iterable[str]) -> Iterator[Line]:
    """The lines of `journalctl --output=json`; what systemd says of a unit is the unit's."""
    for raw in output:
        record = json.loads(raw)
        text = record.get("MESSAGE") or ""
        if isinstance(text, list):  # journald: bytes that are not text
            text = bytes(text).decode("utf-8", "replace")
        unit = record.get("UNIT") or record.get("_SYSTEMD_UNIT") or ""
        yield Line(
            time=int(record["__REALTIME_TIMESTAMP"]) / 1e6,
            host=host,
            unit=str(unit or record.get("SYSLOG_IDENTIFIER", "")).removesuffix(".service"),
            process=str(record.get("_PID", "")),
            priority=int(record.get("PRIORITY", 6)),
            text=str(text)[:LONGEST],
        )


def kind(line: Line) -> str:
    """The kind of a single line: error, failed, configuration, or empty."""
    if found := OSLO.match(line.text):
        if found["level"] in ("ERROR", "CRITICAL"):
            return "error"
        warned = found["level"] == "WARNING" and CONFIGURATION.search(found["text"])
        return "configuration" if warned else ""
    if line.priority <= WARNING and FAILED_UNIT.search(line.text):
        return "failed"
    if UNIT_FILE.match(line.text):
        return "configuration"
    return "error" if line.priority <= ERROR or FOREIGN.search(line.text) else ""


def head(line: Line) -> tuple[str, ...]:
    """What lines of one record of oslo.log share; empty for others."""
    found = OSLO.match(line.text)
    whose = (line.host, line.unit, line.process)
    return (*whose, found["when"], found["process"], found["logger"]) if found else ()


def complaints(lines: Iterable[Line]) -> list[Complaint]:
    """The complaints among the lines of one host, in order; what belongs together is together.

    Lines of several units come mixed, and so do those of one unit's processes: a record of oslo.log
    is known by its head. Lines without one, between two of the same record, are parts of its text.
    """
    gathering = Gathering()
    for line in lines:
        gathering.add(line)
    for whose in list(gathering.waiting):
        gathering.settle(whose)
    return sorted(gathering.found, key=lambda one: one.lines[0].time)


class Gathering:
    """Puts lines together; `found` are the complaints so far."""

    def __init__(self) -> None:
        """Begin with no line."""
        self.found: list[Complaint] = []
        # By unit and process: the record that is being written, lines that may belong to it, and
        # a plain traceback.
        self.record: dict[tuple[str, str], Complaint] = {}
        self.waiting: dict[tuple[str, str], list[Line]] = {}
        self.traceback: dict[tuple[str, str], Complaint] = {}
        self.records: dict[tuple[str, ...], Complaint] = {}

    def new(self, what: str, line: Line, key: tuple[str, ...] = ()) -> Complaint:
        """A further complaint, which begins with `line`."""
        self.found.append(Complaint(what, [line], key))
        return self.found[-1]

    def add(self, line: Line) -> None:
        """Take the next line."""
        whose, key = (line.unit, line.process), head(line)
        if not key:
            if whose in self.record:
                self.waiting.setdefault(whose, []).append(line)
            else:
                self.plain(line)
            return
        what = kind(line)
        before = self.record.get(whose)
        if what == "error" and key in self.records:
            self.record[whose] = self.records[key]
            if before is self.records[key]:
                before.lines += self.waiting.pop(whose, [])
            self.settle(whose)
            self.record[whose].lines.append(line)
            return
        self.settle(whose)
        self.traceback.pop(whose, None)
        self.record.pop(whose, None)
        if what:
            complaint = self.new(what, line, key)
            if what == "error":
                self.record[whose] = self.records[key] = complaint

    def settle(self, whose: tuple[str, str]) -> None:
        """Take the lines that waited for what they are: they belong to no record."""
        for line in self.waiting.pop(whose, []):
            self.plain(line)

    def plain(self, line: Line) -> None:
        """Take a line that oslo.log has not written."""
        whose = (line.unit, line.process)
        before = self.traceback.get(whose)
        if before and not ended(before):
            before.lines.append(line)
        elif TRACEBACK in line.text:
            self.traceback[whose] = self.new("traceback", line)
        elif what := kind(line):
            self.new(what, line)


def ended(traceback: Complaint) -> bool:
    """Whether a plain traceback has had its last line, which is the exception's.

    One that is a single record with all its lines has it, too.
    """
    text = traceback.text
    after = text[text.index(TRACEBACK) :].splitlines()[1:]
    return any(line and not line[0].isspace() for line in after)


def command(since: float | None) -> str:
    """The shell command that prints what `read` takes, since a time or the last boot."""
    window = f"--since=@{since:.0f}" if since else "--boot"
    return f"journalctl --quiet --output=json --output-fields={','.join(FIELDS)} {window}"


def of_json(host: str, text: str) -> list[Complaint]:
    """What a host has printed."""
    return [
        Complaint(one["kind"], [Line(**{**line, "host": host}) for line in one["lines"]])
        for one in json.loads(text)
    ]


if __name__ == "__main__":
    print(json.dumps([asdict(one) for one in complaints(read("", sys.stdin))]))
