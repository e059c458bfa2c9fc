"""Vars plugin: present names of variables that an inventory itself sets by former names."""

from __future__ import annotations

from typing import Any

from ansible.plugins.vars import BaseVarsPlugin

from cairn.site import renamed

DOCUMENTATION = r"""
name: cairn_renamed_inventory
short_description: Accepts former names of variables in the inventory's own files
description:
  - As C(cairn_renamed) for C(group_vars) and C(host_vars), which Ansible reads later.
author: Cairn
options:
  stage:
    description: When the plugin runs.
    choices: [inventory]
    default: inventory
"""


class VarsModule(BaseVarsPlugin):
    """Runs once for each group and each host, after the inventory was read."""

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, Any]:
        """Present names of variables of a group or a host."""
        super().get_vars(loader, path, entities)
        present: dict[str, Any] = {}
        for entity in entities if isinstance(entities, list) else [entities]:
            present |= renamed.present(entity.get_vars())
        return present
