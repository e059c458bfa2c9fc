"""Vars plugin: variables that an inventory itself sets by a former name, by their present one."""

from __future__ import annotations

from typing import Any

from ansible.plugins.vars import BaseVarsPlugin

from cairn.site import renamed

DOCUMENTATION = r"""
name: cairn_renamed_inventory
short_description: Understand former names of variables in the inventory's own files
description:
  - As C(cairn_renamed) does it for C(group_vars) and C(host_vars), which Ansible reads later.
author: Cairn
options:
  stage:
    description: When it is asked.
    choices: [inventory]
    default: inventory
"""


class VarsModule(BaseVarsPlugin):
    """Asked once for each group and each host, when the inventory has been read."""

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, Any]:
        """Present names of what is said of a group or a host."""
        super().get_vars(loader, path, entities)
        found: dict[str, Any] = {}
        for entity in entities if isinstance(entities, list) else [entities]:
            found |= renamed.present(entity.get_vars())
        return found
