"""The workers behind the APIs, as the APIs see them.

An API answers as soon as it runs. Its workers report to it later: a volume that is asked for before
cinder-volume has reported goes to error at once, and so does an instance without a compute host.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import volume
from .run import ProofError, explained, seconds_of, wait

LOST_SECONDS = 900
"""Who has not reported for so long is not starting: it is down, or its record was left behind."""
NEEDED = {"compute": "nova-compute", "block-storage": "cinder-volume"}
"""By type of service, the worker without which nothing can be made."""
INTERVAL = 2.0


@dataclass(frozen=True)
class Worker:
    """One worker of an API; `reported` is when it last did, in seconds of the epoch."""

    service: str  # type in the catalog
    binary: str
    host: str
    up: bool
    reported: float | None

    def __str__(self) -> str:
        """As a person looks for it."""
        return f"{self.binary} on {self.host}"


def found(admin: Any) -> Iterator[Worker]:
    """The enabled workers of nova, of neutron and, where it is deployed, of cinder."""
    services = {"compute": admin.compute}
    if volume.deployed(admin):
        services["block-storage"] = admin.block_storage
    for kind, api in services.items():
        for one in api.services():
            if one.status == "enabled" and not getattr(one, "is_forced_down", False):
                yield Worker(kind, one.binary, one.host, one.state == "up", when(one.updated_at))
    for agent in admin.network.agents():
        if agent.is_admin_state_up:
            reported = when(agent.last_heartbeat_at)
            yield Worker("network", agent.binary, agent.host, agent.is_alive, reported)


def when(text: str | None) -> float | None:
    """An API's time in seconds of the epoch, if there is one."""
    return seconds_of(text) if text else None


def starting(workers: Sequence[Worker], services: Sequence[str], now: float) -> list[str]:
    """What is yet to report, in words: workers that went down lately, and kinds without any."""
    late = [
        str(one)
        for one in workers
        if not one.up and (one.reported is None or now - one.reported < LOST_SECONDS)
    ]
    there = {one.binary for one in workers}
    return late + [f"any {NEEDED[kind]}" for kind in services if NEEDED[kind] not in there]


def settle(admin: Any, seconds: float) -> list[str]:
    """Wait until every worker that is starting has reported; lines on what is up and what is down.

    ProofError names the workers that have not reported within `seconds`.
    """
    services = ["compute", *(["block-storage"] if volume.deployed(admin) else [])]
    seen: list[Worker] = []
    late: list[str] = []

    def settled() -> bool:
        seen[:] = found(admin)
        late[:] = starting(seen, services, time.time())
        return not late

    with explained("asking for the services behind the APIs"):
        try:
            wait("services behind the APIs", seconds, settled, INTERVAL)
        except ProofError as error:
            raise ProofError(
                f"{', '.join(late)}: not up within {seconds:.0f} s; look into its journal on its "
                "host (`journalctl -u`), and whether it reaches the database and the queues"
            ) from error
    down = [str(one) for one in seen if not one.up]
    up = f"services behind the APIs: {len(seen) - len(down)} up"
    return [f"{up}, down for long: {', '.join(down)}" if down else up]
