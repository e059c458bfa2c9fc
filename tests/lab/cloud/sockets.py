"""Compare what listens on a host with the site's flows."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cairn.site.flows import PUBLIC, Flow


@dataclass(frozen=True)
class Listener:
    """A socket that waits for others: its protocol, address, port and process ("" the kernel)."""

    protocol: str
    address: str
    port: int
    process: str

    def __str__(self) -> str:
        """As a person names it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.process or 'the kernel'} on {self.protocol} {host}:{self.port}"


def listeners(ss: str) -> list[Listener]:
    """Return the sockets in the output of `ss --no-header --listening --numeric -tup`."""
    found = []
    for fields in (line.split() for line in ss.splitlines() if line.strip()):
        address, _, port = fields[4].rpartition(":")
        address = address.partition("%")[0].strip("[]").removeprefix("::ffff:")
        process = re.search(r'\(\("([^"]+)"', " ".join(fields[6:]))
        name = process[1] if process else ""
        found.append(Listener(fields[0], "::" if address == "*" else address, int(port), name))
    return found


def strays(found: Iterable[Listener], flows: Iterable[Flow], site: Any, host: str) -> list[str]:
    """Return a sentence for every socket of a host that no flow allows at its address.

    `site` is cairn_site. What listens on the loopback is the host's own affair.
    """
    groups = {"all", *site["hosts"][host]["groups"]}
    mine = [flow for flow in flows if groups & set(flow.targets)]
    said = []
    for listener in found:
        address = ipaddress.ip_address(listener.address)
        if address.is_loopback:
            continue
        fitting = [
            flow
            for flow in mine
            if flow.protocol == listener.protocol and flow.ports and listener.port in flow.ports
        ]
        if not fitting:
            said.append(f"{host}: {listener}: no flow of this host has that port")
            continue
        allowed = {own for flow in fitting for own in addresses(flow, site, host)}
        everywhere = address.is_unspecified and any(flow.wildcard for flow in fitting)
        if not everywhere and listener.address not in allowed:
            planes = ", ".join(dict.fromkeys(flow.plane for flow in fitting))
            said.append(f"{host}: {listener}: not on plane {planes} ({', '.join(sorted(allowed))})")
    return said


def addresses(flow: Flow, site: Mapping[str, Any], host: str) -> set[str]:
    """Return where a host may listen for a flow: its address on the plane, controllers its VIP."""
    if flow.plane == PUBLIC:
        return {site["vips"]["public"]}
    known = site["hosts"][host]
    found = {known["addresses"].get(flow.plane)}
    if "controller" in known["groups"]:
        found.add(site["planes"].get(flow.plane, {}).get("vip"))
    return {address for address in found if address}
