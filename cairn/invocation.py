"""Whether a playbook, as it was invoked, would do what its operator expects. Control node only.

Each function returns an explanation with its remedy, or an empty string if nothing is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import PROJECT

PLAYBOOKS = PROJECT / "playbooks"
# Molecule skips tags with this suffix in every playbook.
SKIPPED_BY_MOLECULE = "notest"
# Strategies in which a task ends on all hosts before the next starts.
STRATEGIES = ("linear", "debug")
# Groups to which a run adds hosts, or that it names because they are empty.
OF_A_RUN = re.compile(
    r"deployed|nobody|rotates_keys|stale(_\w+)?|(renew|rollback)_(yes|no)|swift_(not_)?in_use|verify_host"
)
SHOWN_HOSTS = 8
ADD_OPERATOR = (
    "add the group operator with the control node, as inventories/example does in "
    "hosts.yml and group_vars/operator.yml"
)
ADD_HOSTS = "put hosts into these groups, or name the inventory you meant: -i inventories/…"


def without_hosts(
    playbook: str,
    pattern: str,
    groups: Mapping[str, Sequence[str]],
    inventory: str,
    limit: str = "",
) -> str:
    """Explain why the pattern of a playbook's first play matches no host.

    groups: every group of the inventory with its hosts, regardless of `limit`.
    """
    named = [name for name in re.split(r"[:,]", pattern) if name and name[0] not in "!&"]
    members = list(dict.fromkeys(h for name in named for h in groups.get(name, ())))
    if members and limit:
        shown = ", ".join(members[:SHOWN_HOSTS]) + (", …" if members[SHOWN_HOSTS:] else "")
        return (
            f"{playbook}: nothing was done: it is for {_words(named)}, and --limit {limit} leaves "
            f"none of their hosts ({shown}); name some of these, or leave out --limit"
        )
    remedy = ADD_OPERATOR if named == ["operator"] else ADD_HOSTS
    return f"{playbook}: nothing was done: {inventory} has no host in {_words(named)}; {remedy}"


def refused_tags(playbook: Path, tags: Sequence[str], skipped: Sequence[str]) -> str:
    """Explain why a playbook cannot be run with these tags; playbooks of the site's own can."""
    if not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    options = [f"--tags {tag}" for tag in tags if tag != "all"]
    options += [f"--skip-tags {tag}" for tag in skipped if not tag.endswith(SKIPPED_BY_MOLECULE)]
    if not options:
        return ""
    return (
        f"{playbook.name}: nothing was done: Cairn's tasks have no tags, so {' '.join(options)} "
        "would not select what its name suggests. For one service: ansible-playbook "
        "playbooks/role.yml -e role=nova; for some hosts: --limit; services without changes cost "
        "next to nothing"
    )


def refused_strategy(playbook: Path, strategy: str) -> str:
    """Explain why a playbook of Cairn's cannot be run with this default strategy."""
    waits = strategy.removeprefix("ansible.builtin.") in STRATEGIES
    if waits or not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    return (
        f"{playbook.name}: nothing was done: the strategy {strategy} is set (ANSIBLE_STRATEGY, or "
        "`strategy` in a configuration file), and Cairn's plays need linear, in which hosts wait "
        "for one another: unset it"
    )


def refused_start(playbook: Path, task: str) -> str:
    """Explain why a playbook of Cairn's cannot be started at a task."""
    if not task or not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    return (
        f"{playbook.name}: nothing was done: --start-at-task leaves out the tasks that check the "
        "site, decide what to do and take the lease. Run it without: completed steps are not "
        "repeated"
    )


def refused_files(playbook: Path, problems: Sequence[str]) -> str:
    """Explain that files of variables cannot be read; `problems` are inventory_files.unreadable."""
    if not problems or not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    return "\n".join(
        [
            f"{playbook.name}: nothing was done: correct these files, or `make edit-secrets`:",
            *problems,
        ]
    )


def refused_groups(playbook: Path, groups: Iterable[str]) -> str:
    """Explain why an inventory cannot have these groups; `groups` are those before the run."""
    taken = sorted(name for name in groups if OF_A_RUN.fullmatch(name))
    if not taken or not playbook.resolve().is_relative_to(PLAYBOOKS):
        return ""
    return (
        f"{playbook.name}: nothing was done: the inventory has {_words(taken)}, and Cairn gives "
        "groups of this name to hosts during a run, from what it finds there; rename it"
    )


def _words(groups: Sequence[str]) -> str:
    *first, last = groups
    return f"the groups {', '.join(first)} and {last}" if first else f"the group {last}"
