"""Running commands: errors that name what failed, progress of the long ones."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO


class LabError(Exception):
    """Something an operator can act on; its text is shown without a traceback."""


def call(argv: Sequence[str], *, input: str | None = None) -> str:
    """Run a short command, return its standard output; LabError with its errors if it fails."""
    try:
        done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed (see lab/packages.txt)") from error
    if done.returncode:
        reason = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise LabError(f"{shlex.join(argv)}: {reason}")
    return done.stdout


class Progress:
    """One line per long task: what it is, how far, how many seconds; in place on a terminal."""

    interval = 10.0  # seconds between lines where the output is not a terminal

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        """Begin counting seconds; `title` opens each line."""
        self.title = title
        self.stream = stream or sys.stderr
        self.started = time.monotonic()
        self.last = 0.0
        self.live = self.stream.isatty()

    @property
    def seconds(self) -> float:
        """Seconds since the task began."""
        return time.monotonic() - self.started

    def show(self, text: str, *, now: bool = False) -> None:
        """Say where the task is; without a terminal at most one line per interval unless `now`."""
        moment = time.monotonic()
        if not now and moment - self.last < (0.2 if self.live else self.interval):
            return
        self.last = moment
        line = f"{self.title}: {text} ({self.seconds:.0f} s)"
        if self.live:
            self.stream.write(f"\r\x1b[K{line[:110]}" + ("\n" if now else ""))
        else:
            self.stream.write(line + "\n")
        self.stream.flush()


def stream(
    argv: Sequence[str],
    progress: Progress,
    phase: str,
    log: Path,
    *,
    count: str = "",
    total: int = 0,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a long command into `log`, showing its progress; returns how many lines matched `count`.

    The command dies with its caller, because nothing would read its output any more.
    With `total`, lines that match the regular expression `count` are shown as a percentage of it.
    """
    matcher = re.compile(count) if count else None
    tail: deque[str] = deque(maxlen=25)
    seen = 0
    with log.open("a") as sink:
        sink.write(f"$ {shlex.join(argv)}\n")
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=pass_fds,
        )
        assert process.stdout is not None  # noqa: S101
        for line in process.stdout:
            sink.write(line)
            tail.append(line)
            text = line.strip()
            if matcher is None:
                progress.show(f"{phase}: {text}" if text else phase)
            elif matcher.match(text):
                seen += 1
                share = f"{min(99, 100 * seen // total)} %" if total else f"{seen}"
                progress.show(f"{phase}: {share}")
        code = process.wait()
    if code:
        raise LabError(
            f"{progress.title}: {phase} failed (exit status {code}); its last lines, "
            f"all of them in {log}:\n" + "".join(tail)
        )
    return seen
