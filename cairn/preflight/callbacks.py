"""What shows and keeps the results of a run besides Cairn: Ansible's callbacks. Pure."""

from __future__ import annotations

from collections.abc import Collection

from .finding import WARNING, Finding

DISPLAYING = frozenset(
    {
        *("cairn_no_hosts", "cairn_progress", "cairn_summary"),
        *("default", "minimal", "oneline"),
        *("debug", "json", "jsonl", "profile_roles", "profile_tasks", "timer", "yaml"),
    }
)
"""Callbacks that show what they have by Ansible's display only."""
COLLECTIONS = ("ansible.builtin", "ansible.legacy", "ansible.posix", "community.general")


def short(name: str) -> str:
    """A callback's name without the collection that Ansible or its bundle has it in."""
    collection, _, last = name.rpartition(".")
    return last if collection in COLLECTIONS else name


def check_callbacks(stdout: str, enabled: Collection[str]) -> list[Finding]:
    """Name callbacks of the operator's own that get results unmasked.

    cairn_summary, which is always in force, has Ansible's display mask the secrets of the site:
    what a callback prints by the display is masked, what it keeps by itself is not.
    """
    names = [short(name) for name in (stdout, *enabled)]
    return [
        Finding(
            WARNING,
            "callbacks",
            f"the callback {name} gets results unmasked, and may keep secrets that modules other "
            "than Cairn's return",
            "take it out of callbacks_enabled, or see that only operators read what it keeps",
        )
        for name in dict.fromkeys(names)
        if name not in DISPLAYING
    ]
