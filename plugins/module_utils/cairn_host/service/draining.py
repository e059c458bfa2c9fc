"""Servers of this host's HAProxy that get no new requests while their service restarts.

Names of servers are `backend/server`. What HAProxy is asked and answers is in its management guide
(`show stat`, `set server`); `asked` sends it a command and returns its answer, as `ask` does.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ..files import write_atomic

SOCKET = "/run/haproxy/admin.sock"
# Lost at a reboot, as HAProxy's own state is.
DRAINED = Path("/run/cairn/drained")
MAINTENANCE = "MAINT"
PAUSE = 0.5
Ask = Callable[[str], str]


def ask(command: str) -> str:
    """Send HAProxy a command; returns its answer. OSError if HAProxy does not run.

    keep_state.py of the role loadbalancer has the same function: HAProxy's unit runs that program
    with nothing else beside it.
    """
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(20)
        admin.connect(SOCKET)
        admin.sendall(f"{command}\n".encode())
        answer = b""
        while part := admin.recv(65536):
            answer += part
    return answer.decode()


def servers(asked: Ask = ask) -> dict[str, dict[str, str]]:
    """HAProxy's statistics of each server by its name. OSError if HAProxy does not run."""
    text = asked("show stat -1 4 -1").lstrip("# ")
    return {f"{row['pxname']}/{row['svname']}": row for row in csv.DictReader(io.StringIO(text))}


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


def ready(names: list[str], asked: Ask = ask) -> list[str]:
    """Restore servers that `drain` drained, except those in maintenance; returns them."""
    rows = servers(asked)
    back = [n for n in names if n in rows and not rows[n]["status"].startswith(MAINTENANCE)]
    for name in back:
        asked(f"set server {name} state ready")
    return back


def key(names: list[str]) -> str:
    """A short name for a set of servers."""
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


def timer(names: list[str]) -> str:
    """The name of the timer that restores these servers."""
    return f"cairn-undrain-{key(names)}"


def remember(names: list[str], out: list[str]) -> None:
    """Save that of the servers `names` those of `out` were drained."""
    text = json.dumps(out).encode()
    write_atomic(DRAINED / f"{key(names)}.json", text, 0o644, "root", "root")


def remembered(names: list[str]) -> list[str]:
    """The servers of `names` that were drained; none if nothing was saved."""
    try:
        drained: list[str] = json.loads((DRAINED / f"{key(names)}.json").read_text())
    except (OSError, ValueError):
        return []
    return drained


def forget(names: list[str]) -> None:
    """Remove the saved list."""
    (DRAINED / f"{key(names)}.json").unlink(missing_ok=True)


PUT_BACK = """
import csv, pathlib, socket
def ask(command):
    admin = socket.socket(socket.AF_UNIX)
    admin.connect({socket!r})
    admin.sendall((command + "\\n").encode())
    answer = b""
    while part := admin.recv(65536):
        answer += part
    return answer.decode()
for row in csv.DictReader(ask("show stat -1 4 -1").lstrip("# ").splitlines()):
    name = row["pxname"] + "/" + row["svname"]
    if name in {names!r} and not row["status"].startswith({maintenance!r}):
        ask("set server " + name + " state ready")
pathlib.Path({note!r}).unlink(missing_ok=True)
"""


def arm(names: list[str], out: list[str], minutes: int) -> None:
    """Start the timer that restores the servers `out` after `minutes`, and save them.

    The timer does so even if the run is interrupted. CalledProcessError if systemd refuses it.
    """
    disarm(names)
    program = PUT_BACK.format(
        socket=SOCKET,
        names=out,
        maintenance=MAINTENANCE,
        note=str(DRAINED / f"{key(names)}.json"),
    )
    subprocess.run(
        [
            *("systemd-run", "--quiet", f"--unit={timer(names)}", f"--on-active={minutes}min"),
            *("/usr/bin/python3", "-c", program),
        ],
        check=True,
    )
    remember(names, out)


def disarm(names: list[str]) -> None:
    """Stop the timer, if it runs."""
    for kind in ("timer", "service"):
        unit = f"{timer(names)}.{kind}"
        subprocess.run(["systemctl", "stop", "--quiet", unit], stderr=subprocess.DEVNULL)


def running() -> bool:
    """Whether this host has a running HAProxy."""
    try:
        servers()
    except OSError:
        return False
    return True


def take_out(names: list[str], patience: float, minutes: int) -> tuple[list[str], int]:
    """`drain`, with a timer that restores the servers after `minutes` in any case.

    OSError if HAProxy stops, HostError if a file cannot be written, CalledProcessError if systemd
    refuses the timer.
    """
    return drain(names, patience, lambda out: arm(names, out, minutes))


def put_back(names: list[str]) -> None:
    """Restore those of the servers that were drained, and stop the timer. Errors as `take_out`."""
    ready(remembered(names))
    disarm(names)
    forget(names)
