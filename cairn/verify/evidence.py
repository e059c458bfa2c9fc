"""What is known of a run: for the playbook, for the trace of its creation, for the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from . import run as runs
from . import steps, trace
from .run import Run

SHOWN = ("name", "host", "ids", "services", "floating_ip")


def public(run: Run) -> dict[str, Any]:
    """What the playbook needs of a run, and the window of its journal lines; no secret.

    `since`, `until`, `units`, `wanted` and `patterns` are what cairn_verify_host is asked for,
    with trace.CLOCK_TOLERANCE before and after; `missing` is what the catalog lacks, in sentences.
    """
    shown = {key: value for key, value in run.as_dict().items() if key in SHOWN}
    began = run.times.get("began", time.time())
    margin = trace.CLOCK_TOLERANCE
    return shown | {
        "missing": runs.missing(run),
        "since": began - margin,
        "until": time.time() + margin,
        "units": list(steps.UNITS),
        "wanted": [*requests_of(run), *filter(None, [run.ids.get("server")])],
        "patterns": [steps.SIGN_INS],
    }


def requests_of(run: Run) -> list[str]:
    """The ids that lines of this creation carry: the client's request id and nova-api's own."""
    return [one for one in (run.request, run.ids.get("request")) if one]


def trace_of(run: Run, hosts: Mapping[str, Mapping[str, Any]]) -> trace.Trace:
    """All evidence of the run's creation, from APIs and from `hosts`.

    `hosts` are results of cairn_verify_host by host. A running domain is evidence of libvirt's; one
    in another state is none.
    """
    facts = {name: trace.Fact(**fact) for name, fact in run.facts.items()}
    for host, result in hosts.items():
        domain = result.get("domain") or {}
        if domain.get("state") == "running":
            text = (
                f"{domain['name']} is running on {host}: "
                f"{domain['vcpus']} processor, {domain['memory_mb']} MB"
            )
            facts["domain"] = trace.Fact("domain", run.times.get("active", time.time()), text)
    return trace.Trace(
        began=run.times["began"],
        accepted=run.times.get("accepted", time.time()),
        ids=run.ids,
        requests=requests_of(run),
        facts=facts,
        lines=trace.gathered(hosts),
        services=frozenset(run.services),
    )


def report_of(run: Run, outcomes: Sequence[trace.Outcome], problem: str) -> dict[str, Any]:
    """The run for `make bench`: seconds from the request for a token, and the steps.

    `problem` is what made an earlier phase fail, or empty.
    """
    began = run.times.get("began", 0.0)
    return {
        "run": run.name,
        "host": run.host,
        "problem": problem,
        "seconds": {
            name: round(when - began, 2) for name, when in run.times.items() if name != "began"
        },
        "steps": [
            {
                "number": one.step.number,
                "title": one.step.title,
                "state": one.state,
                "seconds": round(one.time - began, 2) if one.time else None,
                "where": one.where,
                "evidence": one.text,
            }
            for one in outcomes
        ],
    }
