"""A command with a terminal, at which somebody types a password."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PROMPT = b"assword"


def answer(
    command: Sequence[str], typed: str, folder: Path, environment: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """Run a command, type a line at each prompt for a password; its exit status and output."""
    own, given = os.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command],
        cwd=folder, env=environment, stdin=given, stdout=given, stderr=given,
    ) as process:  # fmt: skip
        os.close(given)
        try:
            printed = _talk(own, typed, time.monotonic() + seconds)
        except TimeoutError:
            process.kill()
            raise
        finally:
            os.close(own)
    return process.returncode, printed


def _talk(terminal: int, typed: str, end: float) -> str:
    """Read until the other end is closed; type at prompts, which end in a colon."""
    printed = b""
    answered = 0
    while (left := end - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            break
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # Linux: the last process has closed the terminal
            part = b""
        if not part:
            return printed.decode(errors="replace")
        printed += part
        asked = printed[answered:]
        if PROMPT in asked and asked.rstrip().endswith(b":"):
            answered = len(printed)
            os.write(terminal, typed.encode() + b"\n")
    raise TimeoutError(printed.decode(errors="replace")[-2000:])
