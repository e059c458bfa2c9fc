"""Ask every API of a cloud for a list, once: apis.py CLOUDS_YAML [TYPE…], in the lab's network.

Prints JSON: a sentence for each API that does not answer, and for each compute service and network
agent that is down. APIs of the given TYPEs are not asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from keystoneauth1 import exceptions

from cairn.verify import run as verify_run

# What is asked for, below the URL that the catalog has.
LISTS = {
    "block-storage": "/volumes",
    "compute": "/os-services",
    "identity": "/projects",
    "image": "/v2/images",
    "metric": "/v1/resource/generic?limit=1",
    "network": "/v2.0/agents",
    "object-store": "/?format=json&limit=1",
    "orchestration": "/stacks",
    "placement": "/resource_providers",
}
# Takes signed requests only, but tells anyone at the root of its URL which versions it has.
ROOTS = ("cloudformation",)
SECONDS = 60


def down_services(answer: dict[str, Any]) -> list[str]:
    """Nova's services that have missed their heartbeats."""
    return [
        f"{one['binary']} on {one['host']} is {one['state']}"
        for one in answer["services"]
        if one["state"] != "up"
    ]


def dead_agents(answer: dict[str, Any]) -> list[str]:
    """Neutron's and OVN's agents that are not alive."""
    return [
        f"{one['agent_type']} on {one['host']} is not alive"
        for one in answer["agents"]
        if not one["alive"]
    ]


LOOK: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "compute": down_services,
    "network": dead_agents,
}


def ask(session: Any, kind: str) -> list[str]:
    """Ask one API; return its problem, or an empty text."""
    where = {"service_type": kind, "interface": "public"}
    try:
        if kind in ROOTS:
            session.get(urljoin(session.get_endpoint(**where), "/"), timeout=SECONDS)
            return []
        answer = session.get(LISTS[kind], endpoint_filter=where, timeout=SECONDS)
        return LOOK[kind](answer.json()) if kind in LOOK else []
    except (exceptions.ClientException, OSError, ValueError) as error:
        return [f"{kind}: {error}"[:300]]


def problems(clouds: Path, leave_out: Sequence[str] = ()) -> list[str]:
    """Ask for a token, and then every API of its catalog."""
    try:
        session = verify_run.admin_cloud(clouds, "cairn").session
        catalog = session.auth.get_access(session).service_catalog.catalog
    except (exceptions.ClientException, OSError) as error:
        return [f"no token: {error}"[:300]]
    found = []
    for kind in sorted({entry["type"] for entry in catalog} - set(leave_out)):
        known = kind in LISTS or kind in ROOTS
        found += ask(session, kind) if known else [f"{kind}: nobody knows what to ask it for"]
    return found


if __name__ == "__main__":
    print(json.dumps(problems(Path(sys.argv[1]), sys.argv[2:])))
