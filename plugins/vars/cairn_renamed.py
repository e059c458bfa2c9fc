"""Vars plugin: variables that files of the inventory set by a former name, by their present one."""

from __future__ import annotations

from typing import Any

from ansible.inventory.host import Host
from ansible.plugins.vars.host_group_vars import VarsModule as HostGroupVars
from ansible.utils.vars import load_extra_vars

from cairn.site import renamed

DOCUMENTATION = r"""
name: cairn_renamed
short_description: Understand former names of variables in files and on the command line
description:
  - What group_vars and host_vars say by a former name counts as if they said it by the present one.
    The names are in C(cairn/site/renamed.yml).
  - Where both names are set in one place, it leaves both as they are; preflight refuses that.
author: Cairn
options:
  stage:
    description: When it is asked.
    choices: [task]
    default: task
"""

# It is asked with every task of every host, while an inventory stays the same during a run.
KNOWN: dict[tuple[str, str, str], dict[str, Any]] = {}


class VarsModule(HostGroupVars):
    """Reads what `host_group_vars` reads, and `--extra-vars`."""

    REQUIRES_ENABLED = False

    def get_vars(self, loader: Any, path: str, entities: Any, cache: bool = True) -> dict[str, Any]:
        """Present names of variables of these groups or hosts; those of the last one win."""
        found: dict[str, Any] = {}
        for entity in entities if isinstance(entities, list) else [entities]:
            key = (str(path), type(entity).__name__, entity.name)
            if not cache or key not in KNOWN:
                given = load_extra_vars(loader) if isinstance(entity, Host) else {}
                said = super().get_vars(loader, path, [entity], cache)
                KNOWN[key] = renamed.present({**said, **given})
            found |= KNOWN[key]
        return found
