"""Ends a playbook that would do nothing while Ansible reports success."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from ansible import constants as C  # noqa: N812
from ansible import context
from ansible.plugins.callback import CallbackBase

from cairn.invocation import (
    refused_files,
    refused_groups,
    refused_start,
    refused_strategy,
    refused_tags,
    without_hosts,
)
from cairn.site.inventory_files import loader_of_variables, unreadable

DOCUMENTATION = r"""
name: cairn_no_hosts
type: aggregate
short_description: Fails a playbook that matches no host, or cannot be run as it was invoked
description:
  - Groups such as C(stale_nova) may be empty, so Ansible is configured to continue if a pattern
    matches no host. The first play of a playbook names the hosts that the playbook is for; if it
    matches none, nothing would be done, and C(verify.yml) would seem to have succeeded.
  - Cairn's tasks have no tags. C(--tags) would skip all of them and C(--skip-tags) none; both are
    refused for Cairn's own playbooks. So is C(--start-at-task), which would leave out the checks.
  - Groups that a run makes, such as C(deployed), must not be in the inventory.
  - Cairn's plays need hosts to wait for one another; a default strategy in which they do not
    (C(ANSIBLE_STRATEGY=free)) is refused.
  - Files below C(group_vars) and C(host_vars) that are not YAML are named with the line; Ansible
    itself ends without a file.
  - Needs not be enabled, so C(ANSIBLE_CALLBACKS_ENABLED) cannot switch it off.
  - Prints what is missing and how to add it, and ends C(ansible-playbook) with status 1.
"""


class CallbackModule(CallbackBase):
    """The callback plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "cairn_no_hosts"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        """Start without a playbook."""
        super().__init__()
        self.playbook = ""
        self.plays: list[Any] = []
        self.path: Path | None = None  # of the first playbook, until its first play

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Refuse tags, a start within it, and strategies; a command may run several playbooks."""
        path = Path(playbook._file_name)
        if not self.playbook:
            self.path = path
        self.playbook, self.plays = path.name, []
        tags, skipped = (list(context.CLIARGS.get(key) or ()) for key in ("tags", "skip_tags"))
        text = refused_tags(path, tags, skipped)
        text = text or refused_start(path, context.CLIARGS.get("start_at_task") or "")
        if text := text or refused_strategy(path, C.DEFAULT_STRATEGY):
            self.end(text)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Count a play; before the very first one, judge the inventory."""
        self.plays.append(play)
        path, self.path = self.path, None
        if path:
            inventory = play.get_variable_manager()._inventory
            load = loader_of_variables(inventory._loader)
            sources = context.CLIARGS.get("inventory") or ()
            problems = unreadable(sources, inventory.groups, inventory.hosts, load)
            text = refused_files(path, problems)
            if text := text or refused_groups(path, inventory.groups):
                self.end(text)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """End the run if this is the playbook's first play."""
        if len(self.plays) == 1:
            self.end(self.missing(self.plays[0]))

    def missing(self, play: Any) -> str:
        """Explain why a play has no hosts."""
        inventory = play.get_variable_manager()._inventory
        return without_hosts(
            self.playbook,
            ":".join(play.hosts),
            {name: [h.name for h in g.get_hosts()] for name, g in inventory.groups.items()},
            ", ".join(context.CLIARGS.get("inventory") or ["the inventory"]),
            context.CLIARGS.get("subset") or "",
        )

    def end(self, text: str) -> NoReturn:
        """End the run. Ansible turns any other exception into a warning."""
        self._display.error(text, wrap_text=False)
        raise SystemExit(1)
