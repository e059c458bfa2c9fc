"""Vars plugin: present names of variables that the inventory's files set by former names."""

from __future__ import annotations

from typing import Any

from ansible.inventory.host import Host
from ansible.plugins.vars.host_group_vars import VarsModule as HostGroupVars
from ansible.utils.vars import load_extra_vars

from cairn.site import renamed

DOCUMENTATION = r"""
name: cairn_renamed
short_description: Accepts former names of variables in files and on the command line
description:
  - A variable that group_vars or host_vars set by its former name is set by its present name, too.
    The names are in C(cairn/site/renamed.yml).
  - If both names are set in one place, both stay as they are; preflight refuses that.
author: Cairn
options:
  stage:
    description: When the plugin runs.
    choices: [task]
    default: task
"""

# Ansible runs the plugin for every task and host, but the inventory does not change during a run.
KNOWN: dict[tuple[str, str, str], dict[str, Any]] = {}


class VarsModule(HostGroupVars):
    """Reads what `host_group_vars` reads, and `--extra-vars`."""

    REQUIRES_ENABLED = False

    def get_vars(self, loader: Any, path: str, entities: Any, cache: bool = True) -> dict[str, Any]:
        """Present names of variables of these groups or hosts; the last one wins."""
        present: dict[str, Any] = {}
        for entity in entities if isinstance(entities, list) else [entities]:
            key = (str(path), type(entity).__name__, entity.name)
            if not cache or key not in KNOWN:
                given = load_extra_vars(loader) if isinstance(entity, Host) else {}
                variables = super().get_vars(loader, path, [entity], cache)
                KNOWN[key] = renamed.present({**variables, **given})
            present |= KNOWN[key]
        return present
