"""Meters and events of a run's resources: in gnocchi as its user, and on the message queue."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import partial
from typing import Any

from keystoneauth1.exceptions import CatalogException
from openstack import exceptions

from .finding import Finding
from .run import ProofError, Run, explained, user_cloud, wait

SERVICE = "metric"
POLLED = "cpu"
"""A meter of an instance that only its host's agent can measure."""


def call(cloud: Any, verb: str, path: str, **more: Any) -> Any:
    """Gnocchi's answer; None if the resource does not exist."""
    where = {"service_type": SERVICE, "interface": "public"}
    answer = getattr(cloud.session, verb)(path, endpoint_filter=where, raise_exc=False, **more)
    if answer.status_code == 404:
        return None
    exceptions.raise_from_response(answer)
    return answer.json()


def measures(cloud: Any, kind: str, resource: str, meter: str) -> list[Any]:
    """The measures of a resource's meter as [time, granularity, value]; empty if there are none."""
    path = f"/v1/resource/{kind}/{resource}/metric/{meter}/measures"
    return call(cloud, "get", path) or []


def pause(admin: Any, run: Run, seconds: float) -> str:
    """Pause and unpause the run's instance, each within `seconds`; returns a sentence."""
    server, compute = run.ids["server"], user_cloud(admin, run).compute

    def is_now(status: str) -> bool:
        return bool(compute.get_server(server).status == status)

    for verb, status in (("pause", "PAUSED"), ("unpause", "ACTIVE")):
        with explained(f"asking nova to {verb} the instance"):
            getattr(compute, f"{verb}_server")(server)
            wait(f"instance {server} {status}", seconds, partial(is_now, status))
    return f"instance {server} was paused for a moment"


def meters(admin: Any, run: Run, heard: str, event: str, seconds: float) -> list[Finding]:
    """Check the meters of the run's instance and volume, within `seconds`; ProofError if missing.

    `heard` and `event` are lines of ceilometer's listen.py: a sample and an event from the queue.
    """
    found = [
        Finding("meter on the queue", on_the_queue(heard, run)),
        Finding("event on the queue", happened(event, run)),
    ]
    user = user_cloud(admin, run)
    wanted = [("instance", run.ids["server"], POLLED)]
    if "volume" in run.ids:
        wanted.append(("volume", run.ids["volume"], "volume.size"))
    began = time.monotonic()
    for kind, resource, meter in wanted:
        with explained(f"asking gnocchi for {meter} of the {kind}"):
            got = wait(
                f"measures of {meter} of {kind} {resource} in gnocchi",
                max(seconds - (time.monotonic() - began), 0),
                partial(measures, user, kind, resource, meter),
                interval=2,
            )
        when, _, value = got[-1]
        found.append(Finding(f"meter in gnocchi: {meter}", f"{value:g} of the {kind} at {when}"))
    run.times["meters"] = time.time()
    return found


def taken(line: str, what: str) -> dict[str, Any]:
    """The content of a line from the queue; ProofError if it is no signed meter or event."""
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        raise ProofError(f"not heard on the message queue: {what}, but {line[:80]!r}") from None
    if not found.get("message_signature"):
        raise ProofError(f"heard on the message queue: {what} without a signature")
    return found


def happened(line: str, run: Run) -> str:
    """A sentence on the event; ProofError if it is no signed event of the instance."""
    event = taken(line, "an event")
    kind = str(event.get("event_type"))
    traits = {name: value for name, _, value in event.get("traits", [])}
    if not kind.startswith("compute.instance.") or traits.get("resource_id") != run.ids["server"]:
        raise ProofError(f"heard on the message queue: {kind} of {traits.get('resource_id')}")
    return f"{kind} of the instance, {traits.get('state', 'in no state')}"


def on_the_queue(line: str, run: Run) -> str:
    """A sentence on the sample; ProofError if it is no signed meter of the run's instance."""
    sample = taken(line, "a meter")
    if sample.get("resource_id") != run.ids["server"]:
        raise ProofError(f"heard on the message queue: a meter of {sample.get('resource_id')}")
    when = datetime.fromisoformat(sample["timestamp"]).time().isoformat("seconds")
    name, volume, unit = (sample[f"counter_{key}"] for key in ("name", "volume", "unit"))
    return f"{name} {volume:g} {unit} of the instance, at {when}"


def forget(admin: Any, project: str) -> list[str]:
    """Remove a project's resources in gnocchi, if it is deployed; returns what was removed."""
    try:
        answer = call(admin, "delete", "/v1/resource/generic", json={"=": {"project_id": project}})
    except CatalogException:
        return []
    number = (answer or {}).get("deleted", 0)
    return [f"meters of {number} resources"] if number else []
