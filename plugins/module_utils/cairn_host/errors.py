"""What goes wrong on a host, in words that say how to mend it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class HostError(Exception):
    """A step failed on the host; the text says what, and how to mend it."""


def refusal(error: OSError, path: Path | None = None) -> HostError:
    """What the system has against a file (`path`, or the one that the error names), as ours."""
    where = path or error.filename
    said = f"{where}: {error.strerror}" if where and error.strerror else str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return HostError(f"{said}; make room there, then run again" if full else said)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What the system refuses meanwhile, such as a write to a full disk, is a HostError."""
    try:
        yield
    except OSError as error:
        raise refusal(error) from error
