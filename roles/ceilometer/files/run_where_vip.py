"""Run a command where an address is, and nowhere else: run_where_vip.py ADDRESS COMMAND…

keepalived gives the internal VIP to one controller. The command runs there; where the address
leaves, it is stopped, and where it comes to, it is started. When the command ends by itself, so
does this program, for systemd to start it again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

SECONDS = 5
# keepalived gives addresses back for a moment when it is restarted.
TIMES_AWAY = 3
STOPPING_SECONDS = 60


def is_here(address: str) -> bool:
    """Whether this host has the address."""
    shown = subprocess.run(
        ["ip", "-oneline", "address", "show", "to", address],
        capture_output=True,
        text=True,
        check=True,
    )
    return bool(shown.stdout)


def stop(child: subprocess.Popen[bytes]) -> None:
    """End the command, by force if it does not go."""
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
    """Run the command wherever `here` says so, until `ended`; the exit code for systemd."""
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
