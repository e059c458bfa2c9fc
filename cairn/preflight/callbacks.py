"""Check of Ansible's callbacks, which may show or store unmasked results. Pure."""

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
"""Callbacks that print through Ansible's display only."""
COLLECTIONS = ("ansible.builtin", "ansible.legacy", "ansible.posix", "community.general")


def short(name: str) -> str:
    """A callback's name without its collection."""
    collection, _, last = name.rpartition(".")
    return last if collection in COLLECTIONS else name


def check_callbacks(stdout: str, enabled: Collection[str]) -> list[Finding]:
    """Warn about callbacks of the operator that get unmasked results.

    cairn_summary, which is always enabled, makes Ansible's display mask the site's secrets: output
    through the display is masked, data that a callback stores is not.
    """
    names = [short(name) for name in (stdout, *enabled)]
    return [
        Finding(
            WARNING,
            "callbacks",
            f"the callback {name} gets unmasked results, and may store secrets that modules other "
            "than Cairn's return",
            "remove it from callbacks_enabled, or restrict access to its files to operators",
        )
        for name in dict.fromkeys(names)
        if name not in DISPLAYING
    ]
