"""Prints a summary at the end of a run: changes, restarts, remote calls, failures, API URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from cairn import report
from cairn.display import KNOWN, learn_of_play, mask_display
from cairn.remote_calls import CallCounter
from cairn.service.registry import descriptions

DOCUMENTATION = r"""
name: cairn_summary
type: aggregate
short_description: Summary of a run
description:
  - Prints for each host what changed, restarted, reloaded, stopped, was removed and mended, the
    duration of each play, the number of remote calls to each host, the URLs of the APIs, and all
    failures again.
  - Writes the same as JSON to C(.cache/last-run.json) beside C(ansible.cfg), for C(make bench).
"""

REPORT = Path(__file__).resolve().parents[2] / ".cache/last-run.json"


class CallbackModule(CallbackBase):
    """Feeds a Run from Ansible's events and prints its report."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cairn_summary"
    # In force whatever ANSIBLE_CALLBACKS_ENABLED says: it masks secrets.
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        """Start the run's clock and its counters."""
        super().__init__()
        mask_display(self._display)
        self.run = report.Run()
        self.calls = CallCounter()
        self.failed_items: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Record the playbook and whether this is a plan."""
        self.run.playbook = Path(playbook._file_name).name
        self.run.check = bool(context.CLIARGS.get("check"))
        self.calls.install()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Start a play, with counters for every host of the inventory."""
        learn_of_play(play)
        self.run.play(play.get_name())
        self.calls.know(play.get_variable_manager()._inventory.hosts)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Add a result."""
        task = result.task
        action = task.action.rpartition(".")[2]
        self.run.result(result.host.name, action, task.get_name(), result.result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Add a failure, unless the task ignores errors."""
        items = self.failed_items.pop((result.host.name, result.task._uuid), None)
        if not ignore_errors:
            failure = {"results": items} if items else result.result
            self.run.failure(result.host.name, result.task.get_name(), failure)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Add a failed item of a loop: the task's own result does not name it."""
        key = (result.host.name, result.task._uuid)
        self.failed_items.setdefault(key, []).append({**result.result, "failed": True})

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Add an unreachable host."""
        if not result.task.ignore_unreachable:
            self.run.failure(result.host.name, result.task.get_name(), result.result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the summary and write the report."""
        self.run.end_play()
        for host, calls in self.calls.counts().items():
            if calls or host in self.run.hosts:
                self.run.host(host).remote_calls = calls
        recap = {host: stats.summarize(host) for host in sorted(stats.processed)}
        data = self.run.report(recap)
        site = self.run.site
        data["urls"] = report.api_urls(site, report.catalogs(descriptions(), site)) if site else {}
        self._display.banner("SUMMARY")
        for line in report.lines(data, data["urls"]):
            self._display.display(line)
        try:
            report.write(REPORT, KNOWN.data(data))
        except OSError as error:
            self._display.warning(f"{REPORT} was not written: {error.strerror}")
