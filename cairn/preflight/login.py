"""Explanations and remedies for a failed login or `become`. Control node only, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DOCUMENTED = "docs/set-up-logins.md"
SUDOERS = "/etc/sudoers.d/cairn with the line: {user} ALL=(ALL:ALL) NOPASSWD: ALL"
# Messages of sudo and Ansible, with their meaning and remedy.
REFUSALS = (
    (
        r"Missing \w+ password|a (?:terminal|password) is required|no askpass program",
        "{user} needs a password to become root, and none was given",
        f"give it with -K or as ansible_become_password, or make {SUDOERS}",
    ),
    (
        r"Incorrect \w+ password|Sorry, try again|incorrect password attempt",
        "the password with which {user} should become root is wrong",
        "correct ansible_become_password, or the password you typed for -K",
    ),
    (
        r"not in the sudoers file|may not run sudo|is not allowed to (?:execute|run)",
        "{user} may not become root",
        "on the host, as root: usermod --append --groups sudo {user}",
    ),
    (
        r"must have a tty",
        "sudo on the host requires a terminal",
        "remove `requiretty` from /etc/sudoers there",
    ),
    (
        r"(?:sudo|su|doas): (?:command )?not found|(?:sudo|doas): No such file",
        "sudo is not installed on the host",
        "on the host, as root: apt-get install sudo; or log in as root",
    ),
    (
        r"waiting for (?:privilege escalation prompt|become success)",
        "{user} did not become root in time, or was refused",
        "try it manually: ssh to the host as {user}, then sudo --reset-timestamp true",
    ),
)


def explain(answer: Mapping[str, Any], user: str) -> tuple[str, str] | None:
    """The problem of becoming root and its remedy; None if the failure is another.

    answer: the result of the failed module or task. user: the login user.
    """
    parts = ("msg", "module_stderr", "module_stdout", "exception")
    text = "\n".join(str(answer.get(part) or "") for part in parts)
    names = {"user": user or "the login user"}
    if answer.get("not_root"):
        return (
            "Ansible logs in as {user} and does not become root".format(**names),
            f"set ansible_become: true for the hosts, or log in as root ({DOCUMENTED})",
        )
    for pattern, meaning, remedy in REFUSALS:
        if re.search(pattern, text, re.I):
            return meaning.format(**names), f"{remedy.format(**names)} ({DOCUMENTED})"
    return None
