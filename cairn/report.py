"""What a run did, as data: changes, restarts, failures and remote calls by host. Control node only.

The callback cairn_summary feeds a `Run` from Ansible's events, prints `lines` of its report and
writes the report for `make bench` and for comparisons of a plan with its run.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .display import KNOWN
from .service.description import catalog_entries
from .service.registry import of_site

# Keys of cairn_probe's result that are all empty on a bare host.
TRACES = ("services", "records", "venvs", "uv", "dpkg_unfinished")
VIRTUALENV = "virtualenv "
# Actions on units and files, and their words in a plan.
ACTIONS = {
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
    mended: list[str] = field(default_factory=list)  # manual changes that were undone
    generations: dict[str, list[str | None]] = field(default_factory=dict)
    failed: list[dict[str, str]] = field(default_factory=list)
    remote_calls: int = 0
    bare: bool | None = None  # without anything of Cairn's before the run; None: unknown
    built: list[str] = field(default_factory=list)  # virtualenvs built from their locks
    unpacked: list[str] = field(default_factory=list)  # virtualenvs unpacked from archives

    def add(self, task: str, result: Mapping[str, Any]) -> None:
        """Add the result of a task, or of one item of its loop."""
        if result.get("changed"):
            self.changed += [f"{task}{suffix}" for suffix in changed_suffixes(result)]
        if "restarted" in result:
            for key in ACTIONS:
                getattr(self, key).extend(str(name) for name in result.get(key) or ())
        staged = result.get("staged") or {}
        self.unpacked += [
            step.removeprefix(VIRTUALENV)
            for steps in staged.values()
            for step in steps
            if step.startswith(VIRTUALENV)
        ]
        if result.get("to") and result.get("from") != result["to"]:
            self.generations[str(result.get("service", task))] = [result.get("from"), result["to"]]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "changed": self.changed,
            **{key: getattr(self, key) for key in ACTIONS},
            "generations": self.generations,
            "failed": self.failed,
            "remote_calls": self.remote_calls,
            "bare": self.bare,
            "built": self.built,
            "unpacked": self.unpacked,
        }


def changed_suffixes(result: Mapping[str, Any]) -> list[str]:
    """Return what a changed result names: `: service` of each staged one, `: path`, or just ''."""
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
    """Return the error message of a failed task, cut to MESSAGE_LENGTH."""
    failed = [one for one in items(result) if one.get("failed")] or [result]
    text = ""
    for key in ("msg", "stderr", "censored"):
        text = text or str(failed[0].get(key) or "").strip()
    text = KNOWN.text(text)  # before the cut, which could split a secret
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
    """Return {role: catalog entry} of the site's roles; a role's further entries by their names."""
    return {
        entry.get("name", role): entry
        for role, description in of_site(described, site).items()
        for entry in catalog_entries(description.get("catalog"))
    }


class Run:
    """A run so far, independent of Ansible's classes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the run's clock; `clock` returns seconds."""
        self.clock = clock
        self.started = clock()
        self.playbook = ""
        self.check = False
        self.plays: list[dict[str, Any]] = []
        self.hosts: dict[str, HostReport] = {}
        self.site: Mapping[str, Any] = {}

    def play(self, name: str) -> None:
        """End the running play, if any, and start the next."""
        self.end_play()
        self.plays.append({"name": name, "started": self.clock(), "seconds": 0.0})

    def end_play(self) -> None:
        """Record the duration of the running play."""
        if self.plays:
            self.plays[-1]["seconds"] = round(self.clock() - self.plays[-1].pop("started", 0.0), 1)

    def host(self, name: str) -> HostReport:
        """Return the report of a host."""
        return self.hosts.setdefault(name, HostReport())

    def result(self, host: str, action: str, task: str, result: Mapping[str, Any]) -> None:
        """Add the result of a task that did not fail."""
        if action == "cairn_site" and "names" in result:
            self.site = result
        if action == "cairn_probe" and "services" in result and self.host(host).bare is None:
            self.host(host).bare = not any(result.get(trace) for trace in TRACES)
        # Nothing to install: an interrupted run had already installed the packages.
        if action == "cairn_stage" and result.get("installed") == []:
            self.host(host).bare = False
        if action == "cairn_build":
            self.host(host).built += result.get("built") or ()
        for one in items(result):
            self.host(host).add(task, one)

    def failure(self, host: str, task: str, result: Mapping[str, Any]) -> None:
        """Add a failed task, or a task whose host was unreachable."""
        self.host(host).failed.append({"task": task, "message": explanation(result)})

    def report(self, recap: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """Return the report as plain data; `recap` holds Ansible's counts by host."""
        for name, host in self.hosts.items():
            counts = recap.get(name, {})
            if not (counts.get("failures") or counts.get("unreachable")):
                host.failed.clear()  # rescued
        seconds = round(self.clock() - self.started, 1)
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
    """Compare the report (.cache/last-run.json) of a plan with that of its run.

    Returns a sentence for each difference in changes, actions on units and files, and generations
    of each host. The order within a host is not compared.
    """
    differences = []
    for name in sorted({*plan["hosts"], *run["hosts"]}):
        sides = [report["hosts"].get(name, HostReport().as_dict()) for report in (plan, run)]
        for key in ("changed", *ACTIONS):
            planned, done = (Counter(side[key]) for side in sides)
            differences += [f"{name}: {key} only in the plan: {one}" for one in (planned - done)]
            differences += [f"{name}: {key} only in the run: {one}" for one in (done - planned)]
        planned, done = (side["generations"] for side in sides)
        if planned != done:
            differences.append(f"{name}: generations: planned {planned}, done {done}")
    return differences


def lines(report: Mapping[str, Any], urls: Mapping[str, str]) -> list[str]:
    """Return the summary as lines of text."""
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
        if not (host["changed"] or host["failed"] or any(host[key] for key in ACTIONS)):
            quiet.append(f"{name} ({host['remote_calls']})")
            continue
        text.append(
            f"{name}: {count(len(host['changed']), 'change')}, "
            f"{count(host['remote_calls'], 'remote call')}"
        )
        shown = host["changed"][:SHOWN_CHANGES]
        text += [f"  {changed}: {change}" for change in shown]
        if len(host["changed"]) > len(shown):
            text.append(f"  {changed}: … and {len(host['changed']) - len(shown)} more")
        for service, (old, new) in host["generations"].items():
            text.append(f"  generation of {service}: {old or 'none'} → {new}")
        for key, planned in ACTIONS.items():
            if host[key]:
                text.append(f"  {planned if report['check'] else key}: {', '.join(host[key])}")
    if quiet:
        text.append(f"unchanged (remote calls): {', '.join(quiet)}")
    failed = [(name, one) for name, host in report["hosts"].items() for one in host["failed"]]
    for name, one in failed:
        text.append(f"FAILED {name}: {one['task']}")
        text += [f"  {line}" for line in one["message"].splitlines()]
    if failed:
        text.append(
            "Fix what FAILED and run the same command again: completed steps are not repeated."
        )
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
    """Write the report, readable by its owner only: it holds host names and error messages."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(report, indent=1) + "\n")
    new.replace(path)
