"""A host's evidence of a request: lines of its journal, and libvirt's domain.

Runs on managed hosts with the standard library only, and libvirt's bindings on compute hosts.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Any

MOST_LINES = 400
MOST_ERRORS = 40
LONGEST = 600
FAULT = re.compile(r" (ERROR|CRITICAL) |^Traceback|: error: ")
# virDomainState of libvirt-domain.h
STATES = ("no state", "running", "blocked", "paused", "shutting down", "shut off", "crashed")


def command(since: float, until: float, units: Sequence[str]) -> list[str]:
    """The journalctl command line for a window (seconds since the epoch) and unit globs."""
    return [
        "journalctl",
        "--quiet",
        "--output=json",
        "--output-fields=MESSAGE,_SYSTEMD_UNIT",
        f"--since=@{since:.3f}",
        f"--until=@{until:.3f}",
        *(f"--unit={unit}" for unit in units),
    ]


def text_of(record: dict[str, Any]) -> str:
    """A journal record's message; journald exports non-text bytes as a list of numbers."""
    message = record.get("MESSAGE") or ""
    if isinstance(message, list):
        message = bytes(message).decode("utf-8", "replace")
    return str(message)[:LONGEST]


def select(
    output: Iterable[str], ids: Sequence[str], patterns: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """From journalctl's JSON lines: `lines` that match an id or pattern, and the last `errors`."""
    matching = re.compile("|".join([*map(re.escape, ids), *patterns]))
    lines: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for raw in output:
        record = json.loads(raw)
        text = text_of(record)
        line = {
            "time": int(record["__REALTIME_TIMESTAMP"]) / 1e6,
            "unit": str(record.get("_SYSTEMD_UNIT", "")).removesuffix(".service"),
            "text": text,
        }
        if matching.search(text):
            lines.append(line)
        if FAULT.search(text):
            errors.append(line)
    return {"lines": lines[:MOST_LINES], "errors": errors[-MOST_ERRORS:]}


def read(
    since: float, until: float, units: Sequence[str], ids: Sequence[str], patterns: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """The selection from this host's journal; raises OSError or CalledProcessError."""
    done = subprocess.run(
        command(since, until, units), capture_output=True, text=True, errors="replace", check=True
    )
    return select(done.stdout.splitlines(), ids, patterns)


def domain(uuid: str, connect: Callable[[], Any] | None = None) -> dict[str, Any]:
    """Libvirt's domain `uuid`: state, memory_mb, vcpus, name; empty if there is none.

    `connect` returns a libvirt connection; the default is a read-only one to this host.
    """
    try:
        import libvirt
    except ImportError:
        return {}
    with_libvirt = connect or (lambda: libvirt.openReadOnly("qemu:///system"))
    try:
        connection = with_libvirt()
    except libvirt.libvirtError:  # no libvirt daemon: no domain runs here
        return {}
    try:
        machine = connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError:
        return {}
    else:
        state, _, memory, vcpus, _ = machine.info()
        name = STATES[state] if state < len(STATES) else str(state)
        return {"state": name, "memory_mb": memory // 1024, "vcpus": vcpus, "name": machine.name()}
    finally:
        connection.close()
