"""The network configuration that a host confirmed, and how the host differs from it.

netcommit.py writes /var/lib/cairn/network/confirmed.json, the probe reads it.
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
    """`hash` of the confirmed units (None before the first), `drift`, and `unconfirmed`.

    `unconfirmed` is whether a change waits for its confirmation.
    nics: as returned by `facts.read_nics`; addresses and MTUs are compared with them.
    """
    state = root / STATE
    try:
        confirmed = json.loads((state / "confirmed.json").read_text())
    except (OSError, ValueError):
        confirmed = None
    return {
        "hash": confirmed["hash"] if confirmed else None,
        "unconfirmed": (state / "trial" / "armed").exists(),
        "drift": drift(root / UNITS, nics, confirmed) if confirmed else [],
    }


def drift(
    folder: Path, nics: Mapping[str, Mapping[str, Any]], confirmed: Mapping[str, Any]
) -> list[str]:
    """Sentences on units, addresses and MTUs that differ from the confirmed ones."""
    differences = []
    present = {p.name: p for p in folder.glob("*") if p.suffix in UNIT_SUFFIXES}
    for name, expected in confirmed["files"].items():
        if name not in present:
            differences.append(f"{name} is missing")
        elif hashlib.sha256(present[name].read_bytes()).hexdigest() != expected:
            differences.append(f"{name} was changed on the host")
    for name in present.keys() - confirmed["files"].keys():
        if not any(fnmatch.fnmatch(name, pattern) for pattern in confirmed["keep"]):
            differences.append(f"{name} is not Cairn's (network_keep keeps it)")
    for device, expected in confirmed["devices"].items():
        nic = nics.get(device)
        if nic is None:
            differences.append(f"{device} does not exist")
            continue
        if nic["mtu"] != expected["mtu"]:
            differences.append(f"{device} has MTU {nic['mtu']}, not {expected['mtu']}")
        lacking = set(expected["addresses"]) - set(nic["addresses"])
        differences += [f"{device} lacks {address}" for address in sorted(lacking)]
        if not nic["up"]:
            differences.append(f"{device} is down")
    return sorted(differences)
