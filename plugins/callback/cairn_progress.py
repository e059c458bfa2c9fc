"""Ansible's default output, with the name of the running task."""

from __future__ import annotations

import threading
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default

from cairn.display import learn_of_play, mask_display
from cairn.progress import Progress

DOCUMENTATION = r"""
name: cairn_progress
type: stdout
short_description: Ansible's default output, with the running task
description:
  - As C(default). If skipped hosts are not displayed, that plugin prints a task's name only with
    its first result, so that during a long task the last line names the previous task.
  - This plugin prints the name once a task has run for two seconds, and each minute the hosts on
    which it still runs.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""


class CallbackModule(Default):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "cairn_progress"

    def __init__(self) -> None:
        """Start without a run."""
        super().__init__()
        mask_display(self._display)
        self.progress = Progress()
        # Ansible's own thread and the thread that watches the clock both print.
        self.lock = threading.RLock()
        # A command may run several playbooks in turn.
        self.ended = threading.Event()

    def look(self) -> None:
        """Print what is due."""
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
        """Start to watch the clock."""
        super().v2_playbook_on_start(playbook)
        self.ended = threading.Event()
        threading.Thread(target=self._watch, args=[self.ended], daemon=True).start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """No task is under way while a play starts."""
        learn_of_play(play)
        with self.lock:
            self.progress.start(None)
            super().v2_playbook_on_play_start(play)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task starts on a host."""
        with self.lock:
            self.progress.work(host.get_name())
            super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has ended on a host."""
        self._done(result)
        super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task has failed on a host."""
        self._done(result)
        super().v2_runner_on_failed(result, ignore_errors=ignore_errors)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task was skipped on a host."""
        self._done(result)
        super().v2_runner_on_skipped(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host is unreachable."""
        self._done(result)
        super().v2_runner_on_unreachable(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The run ends."""
        self.ended.set()
        with self.lock:
            self.progress.start(None)
            super().v2_playbook_on_stats(stats)
