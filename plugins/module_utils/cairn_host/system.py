"""Commands on a host, run to completion with a bare environment."""

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
"""The environment of commands: nothing of the administrator's, and above all no proxy."""


def run(
    command: list[str],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 1800,
) -> subprocess.CompletedProcess[str]:
    """Run a command to completion with a bare environment, whatever its exit code.

    HostError if it exceeds `timeout` seconds, or the user does not exist.
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
        output = b"".join(text for text in (late.stdout, late.stderr) if isinstance(text, bytes))
        raise HostError(
            f"timed out after {timeout:g} s: {shown(command)}\n"
            f"{tail(output.decode(errors='replace'))}"
        ) from None


def account_of(user: str) -> pwd.struct_passwd:
    """A user's passwd entry; HostError if the user does not exist."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise HostError(
            f"there is no user {user}: the package or service that creates it is missing"
        ) from None


def shown(command: list[str]) -> str:
    """A command for an error message, without arguments of several lines such as programs."""
    return " ".join(word for word in command if "\n" not in word)


def tail(text: str, lines: int = 25) -> str:
    """The last lines of a command's output, with passwords in URLs masked."""
    return masking.mask_urls("\n".join(text.strip().splitlines()[-lines:]))


def must(command: list[str], what: str, **how: Any) -> str:
    """Run a command that must succeed; otherwise HostError with the end of its output."""
    done = run(command, **how)
    if done.returncode:
        raise HostError(
            f"{what} failed (exit {done.returncode}): {shown(command)}\n"
            f"{tail(done.stdout + done.stderr)}"
        )
    return done.stdout
