"""How long a change of the network may stay unconfirmed. Control node only, pure.

A host's window begins when its change is prepared and must last until the last step of
commit-confirm has reached it. Each of the three steps (apply, ask, confirm) is a task of the play:
none begins before all hosts have ended the one before, and only as many hosts as Ansible has forks
are worked on at once.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

MINIMUM = 45
# Seconds that applying takes on the host: its pause, networkd, the addresses, the announcement.
APPLYING = 12.0
# Seconds in which peers answer, or are asked once more.
ASKING = 3.0
# Seconds for what nobody foresees.
SLACK = 12.0
# Bounds of what is believed of a measured call, in seconds.
SHORTEST, LONGEST = 1.0, 20.0


def stale(site: Mapping[str, Any], hostvars: Mapping[str, Any]) -> list[str]:
    """The reached hosts whose network is not what `cairn_site` says, or has drifted."""
    found = []
    for name, host in site["hosts"].items():
        network = hostvars[name].get("cairn_host", {}).get("network")
        if network and (
            network["hash"] != host["network"] or network["drift"] or network["unconfirmed"]
        ):
            found.append(name)
    return found


def measured(answers: Mapping[str, Mapping[str, Any]]) -> float:
    """Seconds that one call to a host takes, from what the probe took on all of them.

    answers: host name to `cairn_host`; the probe makes a connection and runs a module, as each
    step of commit-confirm does. The median: one slow host shall not make all wait.
    """
    clocks = [answer["clock"] for answer in answers.values() if answer.get("clock")]
    if not clocks:
        return SHORTEST
    seconds = float(statistics.median(after - before for before, after in clocks))
    return min(max(seconds, SHORTEST), LONGEST)


@dataclass(frozen=True)
class Need:
    """What so many hosts need with so many forks, where a call takes `call` seconds."""

    hosts: int
    forks: int
    call: float

    @property
    def waves(self) -> int:
        """How many times all forks are busy in each step."""
        return max(1, ceil(self.hosts / max(1, self.forks)))

    @property
    def applying(self) -> float:
        """Seconds from a host's beginning to its answer over the new network: two calls."""
        return 2 * self.call + APPLYING

    @property
    def rest(self) -> int:
        """Seconds of the window that asking and confirming need after a host is asked."""
        return ceil(max(SLACK, self.waves * (2 * self.call + ASKING)))

    @property
    def window(self) -> int:
        """Seconds of the window that let the last host be confirmed."""
        steps = self.waves * (self.applying + 2 * self.call + ASKING)
        return max(MINIMUM, ceil(steps + SLACK))

    @property
    def connect(self) -> int:
        """Seconds for one connection to come about, jump hosts included."""
        return ceil(min(max(2 * self.call, 5.0), 15.0))
