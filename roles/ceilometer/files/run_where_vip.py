"""Run a command on the host that holds a VIP: run_where_vip.py ADDRESS COMMAND…

keepalived assigns the internal VIP to one controller. This program runs on every controller, starts
the command when the address arrives and stops it when the address leaves. If the command ends by
itself, this program ends too, so that systemd restarts it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

SECONDS = 5
# A restart of keepalived removes the address for a moment.
TIMES_AWAY = 3
STOPPING_SECONDS = 60


def is_here(address: str) -> bool:
    """Return whether this host has the address."""
    shown = subprocess.run(
        ["ip", "-oneline", "address", "show", "to", address],
        capture_output=True,
        text=True,
        check=True,
    )
    return bool(shown.stdout)


def stop(child: subprocess.Popen[bytes]) -> None:
    """Stop the command; kill it if it does not end in time."""
    child.terminate()
    try:
        child.wait(STOPPING_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def run(
    command: Sequence[str],
    here: Callable[[], bool],
    ended: threading.Event,
    seconds: float = SECONDS,
) -> int:
    """Run the command while `here()` is true, until `ended`; return the exit code for systemd."""
    child: subprocess.Popen[bytes] | None = None
    away = 0
    try:
        while not ended.is_set():
            away = 0 if here() else away + 1
            if child is None and not away:
                print("the address is here: starting", flush=True)
                child = subprocess.Popen(command)
            elif child is not None and away >= TIMES_AWAY:
                print("the address is elsewhere: stopping", flush=True)
                stop(child)
                child = None
            if child is not None and child.poll() is not None:
                return child.returncode or 1
            ended.wait(seconds)
    finally:
        if child is not None and child.poll() is None:
            stop(child)
    return 0


def main() -> int:
    """Run until SIGTERM."""
    address, *command = sys.argv[1:]
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return run(command, lambda: is_here(address), ended)


if __name__ == "__main__":
    sys.exit(main())
