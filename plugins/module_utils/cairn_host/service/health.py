"""Health checks of units, which wait for a state up to a time limit. Runs on managed hosts."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from ..system import BARE_ENVIRONMENT

PAUSE = 0.3  # seconds between looks at a unit
ASK = 2.0
"""Seconds between calls of systemctl for a starting unit: each call costs a tenth of a second of
processor time, and a service may have five units."""
PATIENCE = 3
"""Restarts by systemd after which a unit is considered broken."""


def http_problem(address: str, port: int, path: str) -> str | None:
    """Why GET http://address:port/path fails; None if its status is below 500."""
    connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"GET http://{address}:{port}{path}: {error}"
    finally:
        connection.close()
    return f"GET http://{address}:{port}{path} answers {status}" if status >= 500 else None


def tcp_problem(address: str, port: int) -> str | None:
    """Why connecting to address:port fails; None if it succeeds."""
    try:
        with socket.create_connection((address, port), timeout=5):
            return None
    except OSError as error:
        return f"connecting to {address}:{port}: {error}"


def command_problem(command: list[str]) -> str | None:
    """Why a check command fails; None if it exits with 0."""
    try:
        done = subprocess.run(
            command,
            env=BARE_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{' '.join(command)}: {error}"
    last = (done.stderr or done.stdout).strip().splitlines()[-1:]
    return f"{' '.join(command)} exits with {done.returncode}: {last}" if done.returncode else None


def unit_properties(unit: str) -> dict[str, str]:
    """ActiveState, SubState, NRestarts, MainPID, Result of a unit, and since when it is active."""
    names = "ActiveState,SubState,NRestarts,MainPID,Result,ActiveEnterTimestampMonotonic"
    shown = subprocess.run(
        ["systemctl", "show", f"--property={names}", unit],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def steady_problem(unit: str, seconds: float) -> str | None:
    """Why a unit does not stay up for `seconds` with one main process; None if it does.

    The time since its start counts: it may have started long before the service's other units.
    """
    first = unit_properties(unit)
    if first.get("ActiveState") != "active":
        return f"it is {first.get('ActiveState')} ({first.get('Result')})"
    since = int(first.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    lacks = seconds - (time.monotonic() - since) if since else seconds
    if lacks <= 0:
        return None
    time.sleep(lacks)
    second = unit_properties(unit)
    if second.get("ActiveState") != "active" or second.get("MainPID") != first.get("MainPID"):
        return f"it did not stay up for {seconds:g} s ({second.get('ActiveState')})"
    return None


def problem(unit: str, check: Mapping[str, Any]) -> str | None:
    """The result of one health check of a unit: a problem, or None."""
    if "http" in check:
        return http_problem(check["address"], int(check["port"]), check["http"])
    if "tcp" in check:
        return tcp_problem(check["address"], int(check["tcp"]))
    if "command" in check:
        return command_problem(list(check["command"]))
    if "active" in check:
        return steady_problem(unit, float(check["active"]))
    return None


def wait(unit: str, check: Mapping[str, Any]) -> str | None:
    """Wait until the check succeeds; returns the last problem after its `timeout` (seconds).

    A unit that has failed, or that systemd restarts repeatedly, is reported within seconds.
    """
    now = time.monotonic()
    deadline, ask = now + float(check.get("timeout", 240)), now + ASK
    restarts = int(unit_properties(unit).get("NRestarts") or 0)
    while True:
        last = problem(unit, check)
        if last is None:
            return None
        now = time.monotonic()
        if now > deadline:
            return last
        if now >= ask:
            ask = now + ASK
            state = unit_properties(unit)
            if state.get("ActiveState") == "failed":
                return f"it failed; {last}"
            if int(state.get("NRestarts") or 0) - restarts >= PATIENCE:
                return f"systemd restarted it {PATIENCE} times; {last}"
        time.sleep(PAUSE)
