"""Further networks on the instance's host: metadata answers in each, names resolve.

The instance gets two further interfaces in turn. Both networks are new to its host, so that the
metadata agent must start two proxies: a proxy that does not start delays the next one.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any
from urllib.parse import urlencode

from .connectivity import fetch
from .finding import Finding, Findings
from .run import ProofError, Run, explained, user_cloud, wait

SERVICE = "network"
NETWORKS = {"eth1": "10.254.253.0/24", "eth2": "10.254.252.0/24"}
# From the last attachment on. An agent waits 60 s for a proxy that does not start.
METADATA_SECONDS = 40
ANSWER_SECONDS = 20  # of the guest: DHCP, then metadata
GATEWAY = "10.254.254.1"  # of run.PRIVATE_NETWORK; OVN answers names that any server is asked


def attach(user: Any, run: Run, name: str, cidr: str) -> None:
    """Create an isolated network, and an interface of the instance in it."""
    network = user.network.create_network(name=f"{run.name}-{name}")
    user.network.create_subnet(
        name=network.name, network_id=network.id, ip_version=4, cidr=cidr, gateway_ip=None
    )
    user.compute.create_server_interface(run.ids["server"], net_id=network.id)


def metadata(run: Run, name: str) -> str:
    """The guest's metadata over an interface, as a sentence; empty while it has no answer."""
    query = urlencode({"name": name})
    page = fetch(run.floating_ip, f"/cgi-bin/interface?{query}", seconds=ANSWER_SECONDS)
    if page is None:
        return ""
    answer = json.loads(page)
    found = answer["metadata"].get("uuid")
    if found != run.ids["server"]:
        raise ProofError(f"the metadata over {name} is of {found!r}, not of {run.ids['server']}")
    return f"{name} has {answer['address']}, its metadata is the instance's"


def resolve(run: Run, port: Any) -> str:
    """The guest resolves its own names; returns a sentence, ProofError if an address is wrong."""
    if not port.dns_name:
        raise ProofError(
            f"port {port.id} of the instance has no dns_name: nova was not let set one"
        )
    names = []
    for one in port.dns_assignment:
        for name in (one["hostname"], one["fqdn"].rstrip(".")):
            query = urlencode({"name": name, "server": GATEWAY})
            page = fetch(run.floating_ip, f"/cgi-bin/lookup?{query}", seconds=ANSWER_SECONDS)
            if page is None or one["ip_address"] not in page.split():
                said = "no answer" if page is None else " ".join(page.split()) or "no such name"
                raise ProofError(f"{name} does not resolve to {one['ip_address']}: {said}")
            names.append(name)
    return f"{' and '.join(names)} resolve"


def networks(admin: Any, run: Run) -> list[Finding]:
    """Attach two networks, fetch metadata in each, resolve names; ProofError if a step fails."""
    user = user_cloud(admin, run)
    findings = Findings()
    with explained("reading the instance's port"):
        port = user.network.get_port(run.ids["port"])
    findings.tell("name of the instance", resolve(run, port))
    with explained("attaching further networks"):
        for name, cidr in NETWORKS.items():
            attach(user, run, name, cidr)
    attached = time.monotonic()
    answers = [
        wait(
            f"metadata over the further network on {name}, by the agent of {run.host}",
            max(METADATA_SECONDS - (time.monotonic() - attached), 1),
            partial(metadata, run, name),
        )
        for name in reversed(NETWORKS)
    ]
    findings.tell("metadata in two further networks", "; ".join(reversed(answers)))
    return findings
