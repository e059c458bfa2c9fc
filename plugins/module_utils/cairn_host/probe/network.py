"""The network configuration that a host confirmed, and what differs from it now.

Kept in /var/lib/cairn/network/confirmed.json by netcommit.py; read by the probe.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STATE = "var/lib/cairn/network"
UNITS = "etc/systemd/network"
PREFIX = "20-cairn-"
UNIT_SUFFIXES = (".link", ".netdev", ".network")


def read_network(root: Path, nics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`hash` of the confirmed units (None before the first), `trial` under way, `drift`.

    nics: as `facts.read_nics` gives them; addresses and MTUs are compared with them.
    """
    state = root / STATE
    try:
        confirmed = json.loads((state / "confirmed.json").read_text())
    except (OSError, ValueError):
        confirmed = None
    return {
        "hash": confirmed["hash"] if confirmed else None,
        "trial": (state / "trial" / "armed").exists(),
        "drift": drift(root / UNITS, nics, confirmed) if confirmed else [],
    }


def drift(
    folder: Path, nics: Mapping[str, Mapping[str, Any]], confirmed: Mapping[str, Any]
) -> list[str]:
    """Sentences on units, addresses and MTUs that are not as they were confirmed."""
    found = []
    present = {p.name: p for p in folder.glob("*") if p.suffix in UNIT_SUFFIXES}
    for name, expected in confirmed["files"].items():
        if name not in present:
            found.append(f"{name} is missing")
        elif hashlib.sha256(present[name].read_bytes()).hexdigest() != expected:
            found.append(f"{name} was changed on the host")
    for name in present.keys() - confirmed["files"].keys():
        if not any(fnmatch.fnmatch(name, pattern) for pattern in confirmed["keep"]):
            found.append(f"{name} is not Cairn's (network_keep keeps it)")
    for device, wanted in confirmed["devices"].items():
        nic = nics.get(device)
        if nic is None:
            found.append(f"{device} does not exist")
            continue
        if nic["mtu"] != wanted["mtu"]:
            found.append(f"{device} has MTU {nic['mtu']}, not {wanted['mtu']}")
        lacking = set(wanted["addresses"]) - set(nic["addresses"])
        found += [f"{device} lacks {address}" for address in sorted(lacking)]
        if not nic["up"]:
            found.append(f"{device} is down")
    return sorted(found)
