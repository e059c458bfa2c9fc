"""The task under way, and when its name and a reminder are due. Control node only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

BANNER_AFTER = 2.0
REMIND_EVERY = 60.0
SHOWN_HOSTS = 8


class Progress:
    """The task under way and the hosts it runs on. Times are seconds of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without a task."""
        self.clock = clock
        self.task: Any = None
        self.started = 0.0
        self.reminders = 0
        self.hosts: dict[str, None] = {}

    def start(self, task: Any) -> None:
        """Start a task; None if no task is under way any more."""
        self.task, self.started, self.reminders, self.hosts = task, self.clock(), 0, {}

    def work(self, host: str) -> None:
        """Record that the task runs on a host."""
        self.hosts[host] = None

    def done(self, host: str) -> None:
        """Record that the task has ended on a host."""
        self.hosts.pop(host, None)

    def due(self) -> tuple[Any, str]:
        """The task whose name is due (or None), and a line to print (or an empty string)."""
        hosts, seconds = list(self.hosts), self.clock() - self.started
        if self.task is None or not hosts or seconds < BANNER_AFTER:
            return None, ""
        if seconds < REMIND_EVERY * (self.reminders + 1):
            return self.task, ""
        self.reminders = int(seconds // REMIND_EVERY)
        more = f" and {len(hosts) - SHOWN_HOSTS} more" if len(hosts) > SHOWN_HOSTS else ""
        waiting = ", ".join(hosts[:SHOWN_HOSTS])
        return self.task, f"... {self.reminders} min, still running on: {waiting}{more}"
