"""Every way that parts of the cloud talk, from the one file that lists them.

The file says what may listen where, so it is what listening sockets are held against. Controller
side, pure but for reading the file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import DescriptionError

FILE = Path(__file__).resolve().parents[3] / "roles/service/files/flows.yml"
KINDS = ("http", "amqp", "sql", "native")
KEYS = {"name", "kind", "from", "to", "port", "protocol", "plane"}
OPTIONAL = {"units", "wildcard"}
PUBLIC = "public"


@dataclass(frozen=True)
class Flow:
    """One way: who calls whom, on which ports (None where the protocol has none), on which plane.

    `units` are those that may hold the port ("" the kernel), where no service's description says
    it. `wildcard` says why its listeners may take every address of a host; empty where they may
    not.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    ports: range | None
    protocol: str
    plane: str
    units: tuple[str, ...] = ()
    wildcard: str = ""

    @property
    def port(self) -> str:
        """The port or range as it is written; empty where there is none."""
        if self.ports is None:
            return ""
        last = self.ports.stop - 1
        return str(last) if len(self.ports) == 1 else f"{self.ports.start}-{last}"


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


def read(path: Path = FILE) -> list[Flow]:
    """Return the flows of a file; DescriptionError names the entry that says too little."""
    found = []
    for entry in yaml.safe_load(path.read_text()):
        if set(entry) - OPTIONAL != KEYS:
            raise DescriptionError(f"{path.name}: {entry}: has {sorted(entry)}, not {sorted(KEYS)}")
        first, _, last = str(entry["port"]).partition("-")
        found.append(
            Flow(
                name=entry["name"],
                kind=entry["kind"],
                sources=tuple(entry["from"]),
                targets=tuple(entry["to"]),
                ports=range(int(first), int(last or first) + 1) if entry["port"] else None,
                protocol=entry["protocol"],
                plane=entry["plane"],
                units=tuple(entry.get("units", ())),
                wildcard=entry.get("wildcard", ""),
            )
        )
    return found


def ports(flows: Iterable[Flow]) -> list[dict[str, Any]]:
    """Return the ports of flows that name their units, as `catalogue.ports` does of services."""
    return [
        {
            "role": flow.name,
            "protocol": flow.protocol,
            "port": port,
            "groups": list(flow.targets),
            "plane": flow.plane,
            "units": list(flow.units),
        }
        for flow in flows
        if flow.units
        for port in flow.ports or ()
    ]


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
