"""The lock that allows one change of a host at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from . import paths
from .errors import HostError, refusals

LOCK_WAIT = 300.0  # seconds that a change waits for another change of the same host
BACKGROUND_WAIT = 1800.0  # the same, if the other change runs in the background
IN_BACKGROUND = "background\n"  # content of the lock's file then


@contextlib.contextmanager
def host_lock(wait: float = LOCK_WAIT, *, background: bool = False) -> Iterator[None]:
    """Hold the host's lock; HostError if another run holds it for longer than `wait` s.

    `background` marks switches that continue in the background: they wait for one another, and
    other changes wait for them, up to BACKGROUND_WAIT. OSErrors within are HostErrors.
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
                    patient = background or handle.read() == IN_BACKGROUND
                    limit = max(wait, BACKGROUND_WAIT) if patient else wait
                    if time.monotonic() - started > limit:
                        raise HostError(
                            f"another run has been changing this host for over {limit:.0f} s; "
                            "wait for it, or find a hanging process: fuser /var/lib/cairn/lock"
                        ) from None
                    time.sleep(0.5)
            with contextlib.suppress(OSError):  # on a full disk the lock works without it
                os.truncate(handle.fileno(), 0)
                os.write(handle.fileno(), IN_BACKGROUND.encode() if background else b"")
            yield
