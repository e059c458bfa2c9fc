"""Servers of this host's HAProxy that get no new requests while their service restarts.

Names of servers are `backend/server`; `asked` sends HAProxy a command and returns its answer, as
`haproxy_admin.ask` does.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import HostError
from ..files import write_atomic
from ..system import run, tail
from . import haproxy_admin
from .haproxy_admin import Ask, ask, ready, servers

# Lost at a reboot, as HAProxy's own state is.
DRAINED = Path("/run/cairn/drained")
PROGRAM = Path("/run/cairn/haproxy_admin.py")
PAUSE = 0.5
PATIENCE = 60  # seconds, with systemd


def serves(row: dict[str, str]) -> bool:
    """Whether a server gets new requests, by its row of `servers`."""
    return row["status"].startswith(("UP", "no check"))


def another(name: str, rows: dict[str, dict[str, str]]) -> bool:
    """Whether another server of the same backend is up."""
    backend = name.partition("/")[0]
    return any(
        serves(row) for other, row in rows.items() if row["pxname"] == backend and other != name
    )


def under_way(names: list[str], rows: dict[str, dict[str, str]]) -> int:
    """The number of requests in progress on these servers."""
    return sum(int(rows[name]["scur"]) for name in names if name in rows)


def until(patience: float, condition: Callable[[], bool]) -> bool:
    """Wait up to `patience` seconds for a condition; returns whether it was met."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def drain(
    names: list[str], patience: float, before: Callable[[list[str]], None], asked: Ask = ask
) -> tuple[list[str], int]:
    """Drain servers if another is up; returns them and the number of requests in progress.

    Waits up to `patience` seconds for another server of each backend, and as long again for the
    requests. `before` is called with the servers about to be drained. Servers that already get no
    requests, as an operator may have decided, are left alone.
    """
    rows = servers(asked)
    existing = [name for name in names if name in rows]

    def relieved() -> bool:
        rows = servers(asked)
        return all(another(name, rows) for name in existing)

    until(patience, relieved)
    rows = servers(asked)
    out = [name for name in existing if serves(rows[name]) and another(name, rows)]
    if out:
        before(out)
    for name in out:
        asked(f"set server {name} state drain")
    until(patience, lambda: under_way(out, servers(asked)) == 0)
    return out, under_way(out, servers(asked))


def key(names: list[str]) -> str:
    """A short name for a set of servers."""
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


def timer(names: list[str]) -> str:
    """The name of the timer that restores these servers."""
    return f"cairn-undrain-{key(names)}"


def note(names: list[str]) -> Path:
    """The file that lists which of these servers were drained."""
    return DRAINED / f"{key(names)}.json"


def remember(names: list[str], out: list[str]) -> None:
    """Save that of the servers `names` those of `out` were drained."""
    text = json.dumps(out).encode()
    write_atomic(note(names), text, 0o644, "root", "root")


def remembered(names: list[str]) -> list[str]:
    """The servers of `names` that were drained; none if nothing was saved."""
    try:
        drained: list[str] = json.loads(note(names).read_text())
    except (OSError, ValueError):
        return []
    return drained


def forget(names: list[str]) -> None:
    """Remove the saved list."""
    note(names).unlink(missing_ok=True)


def program() -> str:
    """The source of haproxy_admin.py, from the module's archive."""
    loader: Any = haproxy_admin.__loader__
    source = loader.get_source(haproxy_admin.__name__)
    if not source:
        raise HostError("the source of haproxy_admin.py is not in the module")
    return str(source)


def arm(names: list[str], out: list[str], minutes: int) -> None:
    """Start the timer that restores the servers `out` after `minutes`, and save them.

    The timer does so even if the run is interrupted. HostError if systemd refuses it.
    """
    disarm(names)
    write_atomic(PROGRAM, program().encode(), 0o644, "root", "root")
    remember(names, out)
    try:
        done = run(
            [
                *("systemd-run", "--quiet", f"--unit={timer(names)}", f"--on-active={minutes}min"),
                *("/usr/bin/python3", str(PROGRAM), "restore", str(note(names))),
            ],
            timeout=PATIENCE,
        )
        if done.returncode:
            raise HostError(
                f"systemd refuses the timer {timer(names)}, which would restore {', '.join(out)} "
                f"if this run were interrupted, so nothing was drained: {tail(done.stderr)}\n"
                "Correct what `systemctl status` and `journalctl -b -p err` report on this host, "
                "then run again."
            )
    except (HostError, OSError):
        forget(names)  # otherwise a server that somebody else drains would be restored
        raise


def disarm(names: list[str]) -> None:
    """Stop the timer, if it runs, and forget its failure: systemd-run refuses a failed unit's name.

    It fails if HAProxy does not run when the time is over.
    """
    for kind in ("timer", "service"):
        for verb in ("stop", "reset-failed"):
            unit = f"{timer(names)}.{kind}"
            run(["systemctl", verb, "--quiet", unit], timeout=PATIENCE)


def running() -> bool:
    """Whether this host has a running HAProxy."""
    try:
        servers()
    except OSError:
        return False
    return True


def take_out(names: list[str], patience: float, minutes: int) -> tuple[list[str], int]:
    """`drain`, with a timer that restores the servers after `minutes` in any case.

    OSError if HAProxy stops, HostError if a file cannot be written or systemd refuses the timer.
    """
    return drain(names, patience, lambda out: arm(names, out, minutes))


def put_back(names: list[str]) -> None:
    """Restore those of the servers that were drained, and stop the timer. Errors as `take_out`."""
    ready(remembered(names))
    disarm(names)
    forget(names)
