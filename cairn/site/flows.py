"""All network flows of the cloud, from the file that lists them.

The file defines the allowed listening sockets, with which tests and preflight compare. Control node
only, pure except for reading the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import PROJECT, plain_yaml
from ..errors import DescriptionError

FILE = PROJECT / "roles/service/files/flows.yml"
KINDS = ("http", "amqp", "sql", "native")
KEYS = {"name", "kind", "from", "to", "port", "protocol", "plane"}
OPTIONAL = {"units", "role", "wildcard"}
PUBLIC = "public"


@dataclass(frozen=True)
class Flow:
    """One flow: client, server, ports (None if the protocol has none), plane.

    `units` are those that may use the port ("" the kernel), and `role` is their role, if no
    service's description has them. `wildcard` is the reason why listeners may use all addresses of
    a host; empty if they may not.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    ports: range | None
    protocol: str
    plane: str
    units: tuple[str, ...] = ()
    role: str = ""
    wildcard: str = ""

    @property
    def port(self) -> str:
        """The port or range as text; empty if there is none."""
        if self.ports is None:
            return ""
        last = self.ports.stop - 1
        return str(last) if len(self.ports) == 1 else f"{self.ports.start}-{last}"


def read(path: Path = FILE) -> list[Flow]:
    """Return the flows of a file; DescriptionError names an incomplete entry."""
    found = []
    for entry in plain_yaml.load(path.read_text()):
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
                role=entry.get("role", ""),
                wildcard=entry.get("wildcard", ""),
            )
        )
    return found


def ports(flows: Iterable[Flow]) -> list[dict[str, Any]]:
    """Return the ports of flows with units, in the form of `registry.ports`."""
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
