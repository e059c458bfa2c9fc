#!/usr/bin/python
"""Module: switch services to staged generations, or back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_switch
short_description: Switch a service to a staged generation and wait until it is healthy
description:
  - Flips one symlink and restarts only the units whose inputs changed, then waits for their health.
    If one does not get well, the service returns to the generation before, and the error says why.
options:
  service:
    description: The service to switch.
    type: str
    required: true
  generation:
    description: The staged generation; C(previous) goes back to the one before.
    type: str
    required: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Switch glance to what was staged for it
  cairn_switch:
    service: glance
"""

RETURN = r"""
restarted:
  description: Units that were restarted.
  type: list
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn import hostvenv, hostwork, paths, staging, switching
from ansible.module_utils.cairn.hoststate import link_name, read_change


def told(ahead: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """What was done to the service by a switch ahead of this one and by this one."""
    if not ahead:
        return done
    lists = ("removed", "stopped", "reloaded", "restarted")
    return {
        "from": ahead["from"],
        "seconds": {**ahead["seconds"], **done["seconds"]},
        **{key: sorted({*ahead[key], *done[key]}) for key in lists},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "generation": {"type": "str", "required": True},
        },
        supports_check_mode=False,
    )
    role, ident = module.params["service"], module.params["generation"]
    result: dict[str, Any] = {"changed": False, "service": role}
    try:
        with hostwork.host_lock():
            if ident == "previous":
                ident = link_name(paths.previous(role))
                if ident is None:
                    raise hostwork.HostError(f"{role} has no previous generation on this host")
            ahead = switching.switched_ahead(role, ident)
            done = switching.switch(role, ident)
            pruned = staging.prune(role)
            hostvenv.prune()
    except hostwork.HostError as error:
        module.fail_json(msg=str(error), **result)
    result |= told(ahead, done)
    result["to"] = ident
    result["pruned"] = pruned
    result["changed"] = bool(
        done["from"] != ident
        or done["restarted"]
        or done["reloaded"]
        or done["stopped"]
        or done["removed"]
    )
    module.exit_json(state=read_change([role]), **result)


if __name__ == "__main__":
    main()
