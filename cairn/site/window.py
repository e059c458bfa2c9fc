"""The window within which a network change must be confirmed. Control node only, pure.

A host's window starts when its change is armed and must last until the last step of commit-confirm
has reached the host. Each of the three steps (apply, ask, confirm) is a task of the play: it starts
when all hosts have finished the previous one, and runs on as many hosts at once as there are forks.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

MINIMUM = 45
# Seconds to apply on the host: its pause, networkd, the addresses, the announcement.
APPLYING = 12.0
# Seconds for peers to answer, including one repetition.
ASKING = 3.0
# Seconds of reserve.
SLACK = 12.0
# Bounds for the measured duration of a call, in seconds.
SHORTEST, LONGEST = 1.0, 20.0


def stale(site: Mapping[str, Any], hostvars: Mapping[str, Any]) -> list[str]:
    """The reached hosts whose network differs from `cairn_site`, or has drifted."""
    found = []
    for name, host in site["hosts"].items():
        network = hostvars[name].get("cairn_host", {}).get("network")
        if network and (
            network["hash"] != host["network"] or network["drift"] or network["unconfirmed"]
        ):
            found.append(name)
    return found


def measured(answers: Mapping[str, Mapping[str, Any]]) -> float:
    """The duration of one call to a host in seconds, from the probes of all hosts.

    answers: host name to `cairn_host`; the probe opens a connection and runs a module, as each step
    of commit-confirm does. The median, so that one slow host does not delay all.
    """
    clocks = [answer["clock"] for answer in answers.values() if answer.get("clock")]
    if not clocks:
        return SHORTEST
    seconds = float(statistics.median(after - before for before, after in clocks))
    return min(max(seconds, SHORTEST), LONGEST)


@dataclass(frozen=True)
class Need:
    """The time that a number of hosts needs, by forks and duration of a call in seconds."""

    count: int
    forks: int
    call: float

    @property
    def waves(self) -> int:
        """The number of batches in each step."""
        return max(1, ceil(self.count / max(1, self.forks)))

    @property
    def applying(self) -> float:
        """Seconds from the start of a host's change to its answer over the new network."""
        return 2 * self.call + APPLYING

    @property
    def rest(self) -> int:
        """Seconds of the window for asking and confirming."""
        return ceil(max(SLACK, self.waves * (2 * self.call + ASKING)))

    @property
    def window(self) -> int:
        """Seconds until the last host is confirmed."""
        steps = self.waves * (self.applying + 2 * self.call + ASKING)
        return max(MINIMUM, ceil(steps + SLACK))

    @property
    def connect(self) -> int:
        """Seconds to establish one connection, through jump hosts if there are any."""
        return ceil(min(max(2 * self.call, 5.0), 15.0))
