"""Finds complaints in journals: errors, tracebacks, failed units, warnings about configuration.

`journalctl --output=json … | python3 complaints.py` on a host prints those of its journal as JSON:
a journal is large, and what is in it to complain of is not. Standard library only.
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
# What a service says of its own configuration, at WARNING.
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
    """What is wrong with a line by itself: error, failed, configuration, or nothing."""
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
    """The complaints among the lines of one host, in order; tracebacks are put together.

    Lines of several units come mixed: each unit's are put together for themselves.
    """
    found: list[Complaint] = []
    last: dict[tuple[str, str], Complaint | None] = {}
    for line in lines:
        whose = (line.unit, line.process)
        before, what, key = last.get(whose), kind(line), head(line)
        if before and key and key == before.key and what == "error":
            before.lines.append(line)
            continue
        if before and before.kind == "traceback" and not ended(before):
            before.lines.append(line)
            continue
        if not key and TRACEBACK in line.text:
            what = "traceback"
        if not what:
            last[whose] = None
            continue
        last[whose] = new = Complaint(what, [line], key)
        found.append(new)
    return found


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
