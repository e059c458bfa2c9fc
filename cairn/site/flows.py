"""Every way that parts of the cloud talk, from the one file that lists them.

The file says what may listen where, so it is what listening sockets are held against. Controller
side, pure but for reading the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .. import PROJECT
from ..errors import DescriptionError

FILE = PROJECT / "roles/service/files/flows.yml"
KINDS = ("http", "amqp", "sql", "native")
KEYS = {"name", "kind", "from", "to", "port", "protocol", "plane"}
OPTIONAL = {"units", "role", "wildcard"}
PUBLIC = "public"


@dataclass(frozen=True)
class Flow:
    """One way: who calls whom, on which ports (None where the protocol has none), on which plane.

    `units` are those that may hold the port ("" the kernel), and `role` is whose they are, where no
    service's description says it. `wildcard` says why its listeners may take every address of a
    host; empty where they may not.
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
        """The port or range as it is written; empty where there is none."""
        if self.ports is None:
            return ""
        last = self.ports.stop - 1
        return str(last) if len(self.ports) == 1 else f"{self.ports.start}-{last}"


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
                role=entry.get("role", ""),
                wildcard=entry.get("wildcard", ""),
            )
        )
    return found


def ports(flows: Iterable[Flow]) -> list[dict[str, Any]]:
    """Return the ports of flows that name their units, as `registry.ports` does of services."""
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
