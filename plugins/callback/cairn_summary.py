"""Tells at the end of a run what changed, what restarted, what it cost and where the APIs are."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from ansible import context
from ansible.executor.task_executor import TaskExecutor
from ansible.plugins.callback import CallbackBase

from cairn.display import KNOWN, learn_of_play, mask_display
from cairn.service.description import catalog_entries
from cairn.service.registry import descriptions, of_site

DOCUMENTATION = r"""
name: cairn_summary
type: aggregate
short_description: Summary of a run
description:
  - Prints per host what changed, restarted, reloaded, stopped, was removed and mended, how long
    each play took, how many remote calls each host cost, where the APIs are, and every failure once
    more.
  - Writes the same as JSON to C(.cache/last-run.json) beside C(ansible.cfg), for C(make bench).
"""

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / ".cache/last-run.json"
REMOTE = ("exec_command", "put_file", "fetch_file")
# What a host has of Cairn's, in its own account (cairn_probe): one with none of it is bare.
TRACES = ("services", "records", "venvs", "uv", "dpkg_unfinished")
VIRTUALENV = "virtualenv "
# What was done to units and files, and how a plan says it.
DEEDS = {
    "restarted": "would restart",
    "reloaded": "would reload",
    "stopped": "would stop",
    "removed": "would remove",
    "mended": "would mend",
}
SHOWN_CHANGES = 12
MESSAGE_LENGTH = 600


@dataclass
class HostReport:
    """What a run did to one host."""

    changed: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)  # what was changed by hand
    generations: dict[str, list[str | None]] = field(default_factory=dict)
    failed: list[dict[str, str]] = field(default_factory=list)
    remote_calls: int = 0
    bare: bool | None = None  # nothing of Cairn's was there when the run began; None: not asked
    built: list[str] = field(default_factory=list)  # virtualenvs made from their locks
    unpacked: list[str] = field(default_factory=list)  # and those made from archives

    def add(self, task: str, result: Mapping[str, Any]) -> None:
        """Take note of one task's result (one item of it, where the task loops)."""
        if result.get("changed"):
            self.changed += [f"{task}{what}" for what in changed_things(result)]
        if "restarted" in result:
            for key in DEEDS:
                getattr(self, key).extend(str(what) for what in result.get(key) or ())
        staged = result.get("staged") or {}
        self.unpacked += [
            what.removeprefix(VIRTUALENV)
            for done in staged.values()
            for what in done
            if what.startswith(VIRTUALENV)
        ]
        if result.get("to") and result.get("from") != result["to"]:
            self.generations[str(result.get("service", task))] = [result.get("from"), result["to"]]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "changed": self.changed,
            **{key: getattr(self, key) for key in DEEDS},
            "generations": self.generations,
            "failed": self.failed,
            "remote_calls": self.remote_calls,
            "bare": self.bare,
            "built": self.built,
            "unpacked": self.unpacked,
        }


def changed_things(result: Mapping[str, Any]) -> list[str]:
    """Return what a changed result names as changed: its staged services, its path, or just ''."""
    if result.get("staged"):
        return [f": {service}" for service in result["staged"]]
    for key in ("path", "dest"):
        if isinstance(result.get(key), str):
            return [f": {result[key]}"]
    return [""]


def items(result: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return the results of a loop's items, or the one result of a task without a loop."""
    looped = result.get("results")
    if isinstance(looped, list) and looped and all(isinstance(one, Mapping) for one in looped):
        return looped
    return [result]


def explanation(result: Mapping[str, Any]) -> str:
    """Return why a task failed, in the words of its module."""
    failed = [one for one in items(result) if one.get("failed")] or [result]
    text = ""
    for key in ("msg", "stderr", "censored"):
        text = text or str(failed[0].get(key) or "").strip()
    text = KNOWN.text(text)  # before a secret is cut in two
    if len(text) > MESSAGE_LENGTH:
        text = text[:MESSAGE_LENGTH] + " […]"
    return text or "no message: run again with -v"


def api_urls(site: Mapping[str, Any], catalogs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return {service type: public URL} from cairn_site and {role: catalog of its description}."""
    scheme = "https" if site.get("tls", True) else "http"
    name = site["names"]["public"]
    return {
        str(entry.get("type", role)): f"{scheme}://{name}:{entry['port']}{entry.get('path') or ''}"
        for role, entry in catalogs.items()
        if isinstance(entry.get("port"), int)
    }


def catalogs(
    described: Mapping[str, Mapping[str, Any]], site: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """Return {role: entry} of the catalogs of the site's roles; further entries by their names."""
    return {
        entry.get("name", role): entry
        for role, told in of_site(described, site).items()
        for entry in catalog_entries(told.get("catalog"))
    }


class CallCounter:
    """Counts, for each host, how often a task went to it through its connection.

    Tasks run in forked processes, so the counters are shared memory made before the fork, and the
    one place where a task gets its connection is wrapped. Local connections do not count.
    """

    def __init__(self) -> None:
        """Begin with no host."""
        self.counters: dict[str, Any] = {}

    def know(self, hosts: Iterable[str]) -> None:
        """Make counters for hosts that have none; must happen before their tasks are forked."""
        for host in hosts:
            self.counters.setdefault(host, multiprocessing.Value("L", 0))

    def counts(self) -> dict[str, int]:
        """Return the calls so far, by host."""
        return {host: counter.value for host, counter in self.counters.items()}

    def install(self, executor: Any = TaskExecutor) -> None:
        """Wrap the connections that `executor` hands to its tasks."""
        get_connection = executor._get_connection

        @wraps(get_connection)
        def counted(task: Any, *args: Any, **kwargs: Any) -> Any:
            connection = get_connection(task, *args, **kwargs)
            counter = self.counters.get(task._host.name)
            if counter is not None and connection.transport not in (
                "local",
                "ansible.builtin.local",
            ):
                for name in REMOTE:
                    setattr(connection, name, self._counting(getattr(connection, name), counter))
            return connection

        executor._get_connection = counted

    @staticmethod
    def _counting(call: Callable[..., Any], counter: Any) -> Callable[..., Any]:
        @wraps(call)
        def one_more(*args: Any, **kwargs: Any) -> Any:
            with counter.get_lock():
                counter.value += 1
            return call(*args, **kwargs)

        return one_more


class Run:
    """What is known of a run so far; knows nothing of Ansible's classes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now, by `clock` (seconds)."""
        self.clock = clock
        self.begin = clock()
        self.playbook = ""
        self.check = False
        self.plays: list[dict[str, Any]] = []
        self.hosts: dict[str, HostReport] = {}
        self.site: Mapping[str, Any] = {}

    def play(self, name: str) -> None:
        """End the running play, if any, and begin the next."""
        self.end_play()
        self.plays.append({"name": name, "begin": self.clock(), "seconds": 0.0})

    def end_play(self) -> None:
        """Take the time of the running play."""
        if self.plays:
            self.plays[-1]["seconds"] = round(self.clock() - self.plays[-1].pop("begin", 0.0), 1)

    def host(self, name: str) -> HostReport:
        """Return the report of a host."""
        return self.hosts.setdefault(name, HostReport())

    def result(self, host: str, action: str, task: str, result: Mapping[str, Any]) -> None:
        """Take note of a task's result that is not a failure."""
        if action == "cairn_site" and "names" in result:
            self.site = result
        if action == "cairn_probe" and "services" in result and self.host(host).bare is None:
            self.host(host).bare = not any(result.get(trace) for trace in TRACES)
        # A run that was cut off while it installed packages left nothing but them.
        if action == "cairn_stage" and result.get("installed") == []:
            self.host(host).bare = False
        if action == "cairn_build":
            self.host(host).built += result.get("built") or ()
        for one in items(result):
            self.host(host).add(task, one)

    def failure(self, host: str, task: str, result: Mapping[str, Any]) -> None:
        """Take note of a task that failed, or of a host that did not answer."""
        self.host(host).failed.append({"task": task, "message": explanation(result)})

    def report(self, recap: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """Return everything as plain data; `recap` is Ansible's own count by host."""
        for name, host in self.hosts.items():
            counts = recap.get(name, {})
            if not (counts.get("failures") or counts.get("unreachable")):
                host.failed.clear()  # a rescue made it good
        seconds = round(self.clock() - self.begin, 1)
        plays = [{"name": play["name"], "seconds": play["seconds"]} for play in self.plays]
        return {
            "playbook": self.playbook,
            "check": self.check,
            "seconds": seconds,
            "plays": plays,
            "hosts": {name: report.as_dict() for name, report in sorted(self.hosts.items())},
            "recap": {host: dict(counts) for host, counts in recap.items()},
        }


def plan_differences(plan: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What a plan's report (.cache/last-run.json) says and its run's does not, or the reverse.

    Sentences, empty where both agree: what changed, restarted, reloaded, stopped, was removed and
    mended on each host, and between which generations. Order within a host is not compared.
    """
    found = []
    for name in sorted({*plan["hosts"], *run["hosts"]}):
        sides = [report["hosts"].get(name, HostReport().as_dict()) for report in (plan, run)]
        for key in ("changed", *DEEDS):
            planned, done = (Counter(side[key]) for side in sides)
            found += [f"{name}: {key} only in the plan: {what}" for what in (planned - done)]
            found += [f"{name}: {key} only in the run: {what}" for what in (done - planned)]
        planned, done = (side["generations"] for side in sides)
        if planned != done:
            found.append(f"{name}: generations: planned {planned}, done {done}")
    return found


def lines(report: Mapping[str, Any], urls: Mapping[str, str]) -> list[str]:
    """Return the summary as a person reads it."""
    text = [f"{report['playbook']} took {duration(report['seconds'])}"]
    changed = "changed"
    if report["check"]:
        text[0] += "; nothing was changed, this is what a run would do"
        changed = "would change"
    for play in report["plays"]:
        if play["seconds"] >= 1:
            text.append(f"  {duration(play['seconds']):>8}  {play['name']}")
    quiet = []
    for name, host in report["hosts"].items():
        if not (host["changed"] or host["failed"] or any(host[key] for key in DEEDS)):
            quiet.append(f"{name} ({host['remote_calls']})")
            continue
        text.append(
            f"{name}: {count(len(host['changed']), 'change')}, "
            f"{count(host['remote_calls'], 'remote call')}"
        )
        shown = host["changed"][:SHOWN_CHANGES]
        text += [f"  {changed}: {what}" for what in shown]
        if len(host["changed"]) > len(shown):
            text.append(f"  {changed}: … and {len(host['changed']) - len(shown)} more")
        for service, (old, new) in host["generations"].items():
            text.append(f"  generation of {service}: {old or 'none'} → {new}")
        for key, planned in DEEDS.items():
            if host[key]:
                text.append(f"  {planned if report['check'] else key}: {', '.join(host[key])}")
    if quiet:
        text.append(f"unchanged (remote calls): {', '.join(quiet)}")
    failed = [(name, one) for name, host in report["hosts"].items() for one in host["failed"]]
    for name, one in failed:
        text.append(f"FAILED {name}: {one['task']}")
        text += [f"  {line}" for line in one["message"].splitlines()]
    if failed:
        text.append("Mend what FAILED and run the same command again: what is done stays done.")
    elif urls:
        text.append("APIs: " + ", ".join(f"{kind} {url}" for kind, url in sorted(urls.items())))
    return text


def count(number: int, noun: str) -> str:
    """Return '1 change', '2 changes'."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Return seconds as '42 s' or '3 min 05 s'."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report for its owner only: it names hosts, and what failed there."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(report, indent=1) + "\n")
    new.replace(path)


class CallbackModule(CallbackBase):
    """Feeds a Run from Ansible's events."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cairn_summary"
    # What masks secrets is not to be switched off by ANSIBLE_CALLBACKS_ENABLED.
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        """Begin the run's clock and its counting."""
        super().__init__()
        mask_display(self._display)
        self.run = Run()
        self.calls = CallCounter()
        self.broken: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin."""
        self.run.playbook = Path(playbook._file_name).name
        self.run.check = bool(context.CLIARGS.get("check"))
        self.calls.install()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Begin a play, with counters for every host of the inventory."""
        learn_of_play(play)
        self.run.play(play.get_name())
        self.calls.know(play.get_variable_manager()._inventory.hosts)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a result."""
        task = result.task
        action = task.action.rpartition(".")[2]
        self.run.result(result.host.name, action, task.get_name(), result.result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note a failure; one that the play goes on from is the play's own business."""
        broken = self.broken.pop((result.host.name, result.task._uuid), None)
        if not ignore_errors:
            told = {"results": broken} if broken else result.result
            self.run.failure(result.host.name, result.task.get_name(), told)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Note an item of a loop that failed: the task's own result does not tell which did."""
        key = (result.host.name, result.task._uuid)
        self.broken.setdefault(key, []).append({**result.result, "failed": True})

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note a host that does not answer."""
        if not result.task.ignore_unreachable:
            self.run.failure(result.host.name, result.task.get_name(), result.result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the summary and write the report."""
        self.run.end_play()
        for host, calls in self.calls.counts().items():
            if calls or host in self.run.hosts:
                self.run.host(host).remote_calls = calls
        recap = {host: stats.summarize(host) for host in sorted(stats.processed)}
        report = self.run.report(recap)
        site = self.run.site
        report["urls"] = api_urls(site, catalogs(descriptions(), site)) if site else {}
        self._display.banner("SUMMARY")
        for line in lines(report, report["urls"]):
            self._display.display(line)
        try:
            write(REPORT, KNOWN.data(report))
        except OSError as error:
            self._display.warning(f"{REPORT} was not written: {error.strerror}")
