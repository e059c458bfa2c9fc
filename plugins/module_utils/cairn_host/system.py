"""Commands on a host: run to their end, with a bare environment."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from typing import Any

from . import masking
from .errors import HostError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


BARE_ENVIRONMENT = {"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
"""What commands get of the environment: nothing of the administrator's, no proxy above all."""


def run(
    command: list[str],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 1800,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with a bare environment; never raises on its exit code.

    HostError when it does not end within `timeout` seconds, and for a user that is not there.
    """
    extra: dict[str, Any] = {}
    home = BARE_ENVIRONMENT["HOME"]
    if user and user != "root":
        account = account_of(user)
        groups = os.getgrouplist(user, account.pw_gid)
        extra = {"user": user, "group": account.pw_gid, "extra_groups": groups}
        home = account.pw_dir
    env = {**BARE_ENVIRONMENT, "HOME": home, **(environment or {})}
    try:
        return subprocess.run(
            command,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            timeout=timeout,
            check=False,
            **extra,
        )
    except subprocess.TimeoutExpired as late:
        said = b"".join(text for text in (late.stdout, late.stderr) if isinstance(text, bytes))
        raise HostError(
            f"timed out after {timeout:g} s: {shown(command)}\n"
            f"{tail(said.decode(errors='replace'))}"
        ) from None


def account_of(user: str) -> pwd.struct_passwd:
    """A user's entry among the accounts; HostError for one that is not there."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise HostError(
            f"there is no user {user}: the package or the service that makes it is missing"
        ) from None


def shown(command: list[str]) -> str:
    """A command as an error names it, without the programs among its words."""
    return " ".join(word for word in command if "\n" not in word)


def tail(text: str, lines: int = 25) -> str:
    """The last lines of a command's output, with passwords in URLs masked."""
    return masking.mask_urls("\n".join(text.strip().splitlines()[-lines:]))


def must(command: list[str], what: str, **how: Any) -> str:
    """Run a command that has to succeed; HostError with its last words otherwise."""
    done = run(command, **how)
    if done.returncode:
        raise HostError(
            f"{what} failed (exit {done.returncode}): {shown(command)}\n"
            f"{tail(done.stdout + done.stderr)}"
        )
    return done.stdout
