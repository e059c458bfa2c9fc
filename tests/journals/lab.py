"""Searches the journals of a lab's hosts, and counts what is left on them.

`python -m tests.journals mark` notes the time from which on `make test` wants to know;
`python -m tests.journals` tells what nobody knows since then, or since the hosts' last boot.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.state import State
from tests.deployed import ROOT, Cloud

from . import complaints, leftovers


def marked(lab: str) -> Path:
    """The file with the time of a lab's mark."""
    return ROOT / ".cache" / "tests" / f"journals-since-{lab}"


def mark(lab: str) -> None:
    """What was said before now is not asked for."""
    path = marked(lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{time.time():.0f}\n")


def since(lab: str) -> float | None:
    """The time of the mark; None where there is none, which stands for the last boot."""
    path = marked(lab)
    return float(path.read_text()) if path.exists() else None


def hosts(cloud: Cloud) -> list[str]:
    """Names of the lab's running machines."""
    return sorted(State(cloud.name).running())


def heard(cloud: Cloud, from_then_on: float | None) -> list[complaints.Complaint]:
    """The complaints in all hosts' journals."""

    def of(host: str) -> list[complaints.Complaint]:
        # The newest journal is large, and ssh waits for the whole of it.
        output = cloud.on(host, complaints.command(from_then_on), timeout=900)
        return complaints.complaints(complaints.read(host, output.splitlines()))

    with ThreadPoolExecutor(4) as pool:
        return [one for found in pool.map(of, hosts(cloud)) for one in found]


def search(
    cloud: Cloud, from_then_on: float | None, known: Sequence[complaints.Known] | None = None
) -> complaints.Report:
    """What nobody knows of, and which entries of the list were not met."""
    return complaints.search(heard(cloud, from_then_on), known or complaints.load())


def left(cloud: Cloud, wanted: dict[str, dict[str, list[str]]]) -> list[str]:
    """What is left on the hosts, given what each should have."""
    code = Path(leftovers.__file__).read_text()
    nothing: dict[str, list[str]] = {"networks": [], "servers": [], "volumes": []}
    found = []
    for host in hosts(cloud):
        there: dict[str, Any] = json.loads(cloud.on(host, f"python3 -c {shlex.quote(code)}"))
        found += leftovers.problems(host, there, wanted.get(host, nothing))
    return found
