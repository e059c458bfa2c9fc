"""Successful checks of verify, as it shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One successful check: its title and its result."""

    title: str
    text: str


class Findings(list[Finding]):
    """Successful checks in order, each with the seconds since the previous one."""

    def __init__(self) -> None:
        """Start the clock."""
        super().__init__()
        self._since = time.monotonic()

    def tell(self, title: str, text: str) -> None:
        """Note one more."""
        now = time.monotonic()
        self.append(Finding(title, f"{text} ({now - self._since:.1f} s)"))
        self._since = now
