"""Errors on a host, with their remedies."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class HostError(Exception):
    """A step failed on the host; the text says what failed and how to fix it."""


def refusal(error: OSError, path: Path | None = None) -> HostError:
    """An OSError as a HostError that names the file: `path`, or the error's own."""
    where = path or error.filename
    text = f"{where}: {error.strerror}" if where and error.strerror else str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return HostError(f"{text}; make room there, then run again" if full else text)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn OSErrors, such as that of a full disk, into HostErrors."""
    try:
        yield
    except OSError as error:
        raise refusal(error) from error
