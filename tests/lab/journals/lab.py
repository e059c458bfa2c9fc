"""Searches the journals of a lab's hosts, and counts what is left on them.

`python -m tests.lab.journals mark` marks the time from which `make test` searches. Each
`python -m tests.lab.journals --new` searches what was written since the one before it, or since
the mark, so that several of them together read the journals once. Without a mark they start at the
hosts' last boot.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.state import State
from tests.lab.deployed import ROOT, Cloud

from . import complaints, known, leftovers

# A complaint of several lines may begin before the searched time; it belongs to the search
# before.
EARLIER = 60


@dataclass
class Mark:
    """Since when a lab's journals are searched, and the results of the searches since then."""

    time: float
    searched: float = 0
    met: list[str] = field(default_factory=list)  # entries of known.yml

    @property
    def next(self) -> float:
        """Where the next search starts."""
        return self.searched or self.time


def place(lab: str) -> Path:
    """The file with a lab's mark."""
    return ROOT / ".cache" / "tests" / f"journals-{lab}.json"


def save(lab: str, mark: Mark) -> None:
    """Write a lab's mark."""
    path = place(lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(mark), indent=1) + "\n")


def set_mark(lab: str) -> None:
    """Ignore what was written before now."""
    save(lab, Mark(time.time()))


def marked(lab: str) -> Mark | None:
    """A lab's mark; None where there is none, which stands for the last boot."""
    path = place(lab)
    return Mark(**json.loads(path.read_text())) if path.exists() else None


def hosts(cloud: Cloud) -> list[str]:
    """Names of the lab's running machines."""
    return sorted(State(cloud.name).running())


def heard(cloud: Cloud, since: float | None) -> list[complaints.Complaint]:
    """The complaints in all hosts' journals that begin after `since`, or after the last boot.

    A host searches its own journal: what ssh would have to carry otherwise takes minutes.
    """
    code = shlex.quote(Path(complaints.__file__).read_text())
    journal = complaints.command(since - EARLIER if since else None)

    def of(host: str) -> list[complaints.Complaint]:
        output = cloud.on(host, f"set -o pipefail; {journal} | python3 -c {code}", timeout=900)
        return complaints.of_json(host, output)

    with ThreadPoolExecutor(4) as pool:
        found = [one for ones in pool.map(of, hosts(cloud)) for one in ones]
    return [one for one in found if one.lines[0].time >= (since or 0)]


def search(
    cloud: Cloud, since: float | None, entries: Sequence[known.Known] | None = None
) -> known.Report:
    """What nobody knows of, and which entries of the list were not met."""
    return known.search(heard(cloud, since), entries or known.load())


def search_new(cloud: Cloud) -> known.Report:
    """What nobody knows of since the last search of this kind, or the mark.

    An entry of the list that any of these searches has met counts as met. Without a mark it is as
    if the hosts' last boot were one.
    """
    begun, mark = time.time(), marked(cloud.name) or Mark(0)
    entries = known.load()
    found = [one for one in heard(cloud, mark.next or None) if one.lines[0].time < begun]
    report = known.search(found, entries)
    met = {str(entry) for entry in entries if entry.matched} | set(mark.met)
    report.stale = [entry for entry in report.stale if str(entry) not in met]
    save(cloud.name, Mark(mark.time, begun, sorted(met)))
    return report


def left(cloud: Cloud, wanted: dict[str, dict[str, list[str]]]) -> list[str]:
    """What is left on the hosts, given what each should have."""
    code = Path(leftovers.__file__).read_text()
    nothing: dict[str, list[str]] = {"networks": [], "servers": [], "volumes": []}
    found = []
    for host in hosts(cloud):
        there: dict[str, Any] = json.loads(cloud.on(host, f"python3 -c {shlex.quote(code)}"))
        found += leftovers.problems(host, there, wanted.get(host, nothing))
    return found
