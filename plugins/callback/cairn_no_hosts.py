"""Ends a playbook whose first play matches no host: Ansible itself would report success."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: cairn_no_hosts
type: aggregate
short_description: Fails a playbook that is run for nobody
description:
  - Groups such as C(stale_nova) may be empty, so Ansible is told to go on where a pattern matches
    no host. The first play of a playbook names the hosts that the playbook is for; where it matches
    none, nothing would be done, and a proof would seem to have succeeded.
  - Prints what is missing and how to add it, and ends C(ansible-playbook) with status 1.
"""

OPERATOR = (
    "add the group operator with the machine that runs Ansible, as inventories/example does in "
    "hosts.yml and group_vars/operator.yml"
)
HOSTS = "put hosts into these groups, or name the inventory you meant: -i inventories/…"
SHOWN_HOSTS = 8


def explanation(
    playbook: str,
    pattern: str,
    groups: Mapping[str, Sequence[str]],
    inventory: str,
    limit: str = "",
) -> str:
    """Say why the pattern of a playbook's first play matches no host, and what to do.

    groups: every group of the inventory with its hosts, without regard to `limit`.
    """
    named = [name for name in re.split(r"[:,]", pattern) if name and name[0] not in "!&"]
    members = list(dict.fromkeys(h for name in named for h in groups.get(name, ())))
    if members and limit:
        shown = ", ".join(members[:SHOWN_HOSTS]) + (", …" if members[SHOWN_HOSTS:] else "")
        return (
            f"{playbook}: nothing was done: it is for {_words(named)}, and --limit {limit} leaves "
            f"none of their hosts ({shown}); name some of these, or leave out --limit"
        )
    return (
        f"{playbook}: nothing was done: {inventory} has no host in {_words(named)}; "
        + (OPERATOR if named == ["operator"] else HOSTS)
    )  # fmt: skip


def _words(groups: Sequence[str]) -> str:
    *first, last = groups
    return f"the groups {', '.join(first)} and {last}" if first else f"the group {last}"


class CallbackModule(CallbackBase):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cairn_no_hosts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Begin with no playbook."""
        super().__init__()
        self.playbook = ""
        self.plays: list[Any] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin a playbook; a command may run several."""
        self.playbook, self.plays = Path(playbook._file_name).name, []

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Take note of a play."""
        self.plays.append(play)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """End the run where this is the playbook's first play."""
        if len(self.plays) == 1:
            self.end(self.plays[0])

    def end(self, play: Any) -> NoReturn:
        """Say what is missing. An exception of another kind would only be a warning to Ansible."""
        inventory = play.get_variable_manager()._inventory
        text = explanation(
            self.playbook,
            ":".join(play.hosts),
            {name: [h.name for h in g.get_hosts()] for name, g in inventory.groups.items()},
            ", ".join(context.CLIARGS.get("inventory") or ["the inventory"]),
            context.CLIARGS.get("subset") or "",
        )
        self._display.error(text, wrap_text=False)
        raise SystemExit(1)
