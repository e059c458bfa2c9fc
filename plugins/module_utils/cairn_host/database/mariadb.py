"""Asking the MariaDB server of this host, as root by its socket. Standard library only."""

from __future__ import annotations

import re
import subprocess

from .. import errors


class DatabaseError(errors.HostError):
    """The server refused, or the input is impossible."""


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def masked(text: str) -> str:
    """A grant without its password's hash."""
    return re.sub(r"'\*[0-9A-F]{40}'", "'*…'", text)


def sql(statements: str) -> list[str]:
    """Run statements on the server of this host; lines of output, columns set apart by tabs.

    They go in by standard input: nothing of them stands in the process list.
    """
    command = ["mariadb", "--protocol=socket", "--user=root", "--batch", "--raw",
               "--skip-column-names"]  # fmt: skip
    done = subprocess.run(
        command, input=statements, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise DatabaseError(f"MariaDB on this host: {masked(done.stderr.strip())}")
    return done.stdout.splitlines()
