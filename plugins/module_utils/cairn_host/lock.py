"""One change of a host at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from . import paths
from .errors import HostError, refusals

LOCK_WAIT = 300.0  # seconds that a change waits for another one of the same host


BACKGROUND_WAIT = 1800.0  # the same where the other one goes on in the background


IN_BACKGROUND = "background\n"  # what the lock's file holds then


@contextlib.contextmanager
def host_lock(wait: float = LOCK_WAIT, *, background: bool = False) -> Iterator[None]:
    """One change of this host at a time; HostError when another run holds it for `wait` s.

    `background` is for switches that go on while a run is busy elsewhere: they wait for one
    another, and everybody waits for them, as long as they may take. What the system refuses during
    the change is a HostError, too.
    """
    with refusals():
        paths.STATE.mkdir(parents=True, exist_ok=True)
        with (paths.STATE / "lock").open("a+") as handle:
            started = time.monotonic()
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    handle.seek(0)
                    held = background or handle.read() == IN_BACKGROUND
                    limit = max(wait, BACKGROUND_WAIT) if held else wait
                    if time.monotonic() - started > limit:
                        raise HostError(
                            f"another run has been changing this host for over {limit:.0f} s; "
                            "wait for it, or look for a hanging one: fuser /var/lib/cairn/lock"
                        ) from None
                    time.sleep(0.5)
            with contextlib.suppress(OSError):  # on a full disk the lock holds without it
                os.truncate(handle.fileno(), 0)
                os.write(handle.fileno(), IN_BACKGROUND.encode() if background else b"")
            yield
