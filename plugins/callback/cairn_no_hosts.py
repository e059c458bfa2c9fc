"""Ends a playbook that would do nothing and for which Ansible itself would report success."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ansible import constants as C  # noqa: N812
from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: cairn_no_hosts
type: aggregate
short_description: Fails a playbook that is run for nobody, with tags, or with another strategy
description:
  - Groups such as C(stale_nova) may be empty, so Ansible is told to go on where a pattern matches
    no host. The first play of a playbook names the hosts that the playbook is for; where it matches
    none, nothing would be done, and a proof would seem to have succeeded.
  - Cairn's tasks have no tags. With C(--tags) each of them would be skipped, and with
    C(--skip-tags) none, whatever the name suggests; both are refused for Cairn's own playbooks.
  - Cairn's plays count on hosts waiting for one another; a default strategy by which they do not
    (C(ANSIBLE_STRATEGY=free)) is refused as well.
  - Is in force without being enabled, so that C(ANSIBLE_CALLBACKS_ENABLED) cannot switch it off.
  - Prints what is missing and how to add it, and ends C(ansible-playbook) with status 1.
"""

OPERATOR = (
    "add the group operator with the machine that runs Ansible, as inventories/example does in "
    "hosts.yml and group_vars/operator.yml"
)
# Molecule skips tags with this ending in whatever it plays.
SKIPPED_BY_MOLECULE = "notest"
PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
HOSTS = "put hosts into these groups, or name the inventory you meant: -i inventories/…"
SHOWN_HOSTS = 8
# In which a task ends on all hosts before the next begins; debug is linear with a debugger.
STRATEGIES = ("linear", "debug")


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


def refused_tags(playbook: Path, tags: Sequence[str], skipped: Sequence[str]) -> str:
    """Say why a playbook cannot be run with these tags; an empty text where nothing is against it.

    A playbook that is not Cairn's may have tags of its own.
    """
    if not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    asked = [f"--tags {tag}" for tag in tags if tag != "all"]
    asked += [f"--skip-tags {tag}" for tag in skipped if not tag.endswith(SKIPPED_BY_MOLECULE)]
    if not asked:
        return ""
    return (
        f"{playbook.name}: nothing was done: Cairn's tasks have no tags, so {' '.join(asked)} "
        "would not choose what its name says. For one service: ansible-playbook playbooks/role.yml "
        "-e role=nova; for some hosts: --limit; what does not change costs next to nothing"
    )


def refused_strategy(playbook: Path, strategy: str) -> str:
    """Say why a playbook of Cairn's cannot be run with this default strategy, or an empty text."""
    waits = strategy.removeprefix("ansible.builtin.") in STRATEGIES
    if waits or not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    return (
        f"{playbook.name}: nothing was done: the strategy {strategy} is set (ANSIBLE_STRATEGY, or "
        "`strategy` in a configuration file), and Cairn's plays need linear, in which hosts wait "
        "for one another: unset it"
    )


def _words(groups: Sequence[str]) -> str:
    *first, last = groups
    return f"the groups {', '.join(first)} and {last}" if first else f"the group {last}"


class CallbackModule(CallbackBase):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cairn_no_hosts"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        """Begin with no playbook."""
        super().__init__()
        self.playbook = ""
        self.plays: list[Any] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin a playbook; a command may run several."""
        self.playbook, self.plays = Path(playbook._file_name).name, []
        tags, skipped = (list(context.CLIARGS.get(key) or ()) for key in ("tags", "skip_tags"))
        path = Path(playbook._file_name)
        if text := refused_tags(path, tags, skipped) or refused_strategy(path, C.DEFAULT_STRATEGY):
            self.end(text)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Take note of a play."""
        self.plays.append(play)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """End the run where this is the playbook's first play."""
        if len(self.plays) == 1:
            self.end(self.missing(self.plays[0]))

    def missing(self, play: Any) -> str:
        """Say what is missing for a play to have hosts."""
        inventory = play.get_variable_manager()._inventory
        return explanation(
            self.playbook,
            ":".join(play.hosts),
            {name: [h.name for h in g.get_hosts()] for name, g in inventory.groups.items()},
            ", ".join(context.CLIARGS.get("inventory") or ["the inventory"]),
            context.CLIARGS.get("subset") or "",
        )

    def end(self, text: str) -> NoReturn:
        """End the run. An exception of another kind would only be a warning to Ansible."""
        self._display.error(text, wrap_text=False)
        raise SystemExit(1)
