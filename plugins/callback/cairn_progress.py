"""Ansible's default output, which also tells what a run is at while it is at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default

from cairn.display import learn_of_play, mask_display

DOCUMENTATION = r"""
name: cairn_progress
type: stdout
short_description: Ansible's default output, with the task that is under way
description:
  - As C(default). That one prints a task's name with its first result where skipped hosts are not
    displayed, so that during a long task the name of the one before stands last.
  - Here the name is printed once a task has taken two seconds, and each minute which hosts it
    still waits for.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

BANNER_AFTER = 2.0
REMIND_EVERY = 60.0
SHOWN_HOSTS = 8


class Progress:
    """The task under way, and what is to be told of it by now. Times are seconds of one clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no task."""
        self.clock = clock
        self.task: Any = None
        self.began = 0.0
        self.reminders = 0
        self.hosts: dict[str, None] = {}

    def start(self, task: Any) -> None:
        """Begin a task, or none: nobody works at the one before any more."""
        self.task, self.began, self.reminders, self.hosts = task, self.clock(), 0, {}

    def work(self, host: str) -> None:
        """Take note that a host works at the task."""
        self.hosts[host] = None

    def done(self, host: str) -> None:
        """Take note that a host has ended the task."""
        self.hosts.pop(host, None)

    def due(self) -> tuple[Any, str]:
        """The task whose name must be seen by now (or None), and a line to print (or '')."""
        hosts, seconds = list(self.hosts), self.clock() - self.began
        if self.task is None or not hosts or seconds < BANNER_AFTER:
            return None, ""
        if seconds < REMIND_EVERY * (self.reminders + 1):
            return self.task, ""
        self.reminders = int(seconds // REMIND_EVERY)
        more = f" and {len(hosts) - SHOWN_HOSTS} more" if len(hosts) > SHOWN_HOSTS else ""
        waiting = ", ".join(hosts[:SHOWN_HOSTS])
        return self.task, f"... {self.reminders} min, still at it: {waiting}{more}"


class CallbackModule(Default):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "cairn_progress"

    def __init__(self) -> None:
        """Begin with no run."""
        super().__init__()
        mask_display(self._display)
        self.progress = Progress()
        # Both ansible's own thread and the one that looks at the clock print and take notes.
        self.lock = threading.RLock()
        # A command may run several playbooks, one after the other.
        self.ended = threading.Event()

    def look(self) -> None:
        """Print what is due by now."""
        with self.lock:
            task, line = self.progress.due()
            if task is not None:
                self._print_task_banner(task)
            if line:
                self._display.display(line)

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(0.5):
            self.look()

    def _done(self, result: Any) -> None:
        with self.lock:
            self.progress.done(result.host.get_name())

    def _print_task_banner(self, task: Any) -> None:
        with self.lock:
            if self._last_task_banner != task._uuid:
                super()._print_task_banner(task)

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        with self.lock:
            super()._task_start(task, prefix=prefix)
            self.progress.start(task)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin to look at the clock."""
        super().v2_playbook_on_start(playbook)
        self.ended = threading.Event()
        threading.Thread(target=self._watch, args=[self.ended], daemon=True).start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """No task is under way while a play begins."""
        learn_of_play(play)
        with self.lock:
            self.progress.start(None)
            super().v2_playbook_on_play_start(play)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A host works at a task."""
        with self.lock:
            self.progress.work(host.get_name())
            super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A host has ended a task."""
        self._done(result)
        super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A host has failed at a task."""
        self._done(result)
        super().v2_runner_on_failed(result, ignore_errors=ignore_errors)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A host has nothing to do."""
        self._done(result)
        super().v2_runner_on_skipped(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host cannot be reached."""
        self._done(result)
        super().v2_runner_on_unreachable(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run ends."""
        self.ended.set()
        with self.lock:
            self.progress.start(None)
            super().v2_playbook_on_stats(stats)
