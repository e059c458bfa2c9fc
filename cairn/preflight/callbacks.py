"""What shows and keeps the results of a run besides Cairn: Ansible's callbacks. Pure."""

from __future__ import annotations

from collections.abc import Collection

from .finding import ERROR, WARNING, Finding

MASKING = ("cairn_progress", "cairn_summary")
"""Each has Ansible's display, which prints and logs, mask the secrets of the site."""
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
    """Secrets are masked wherever results are shown or kept."""
    names = [short(name) for name in (stdout, *enabled)]
    if not set(names) & set(MASKING):
        return [
            Finding(
                ERROR,
                "callbacks",
                f"neither {' nor '.join(MASKING)} is among the callbacks ({', '.join(names)}): "
                "nothing would mask secrets in what the run shows and logs",
                "add cairn_summary to callbacks_enabled (ANSIBLE_CALLBACKS_ENABLED)",
            )
        ]
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
