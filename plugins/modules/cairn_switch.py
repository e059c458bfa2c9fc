#!/usr/bin/python
"""Module: switch services to staged generations, or back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_switch
short_description: Switch a service to a staged generation and wait until it is healthy
description:
  - Flips one symlink and restarts only the units whose inputs changed, then waits for their health.
    If one does not get well, the service returns to the generation before, and the error says why.
  - What was changed by hand of the generation is restored, and units that may run with it restart.
  - In check mode it tells the same without doing it.
  - As an action it takes O(service), and O(generation) to go back; without that one it switches to
    what the inventory asks for. It calls the host only where something is due.
options:
  service:
    description: The service to switch.
    type: str
    required: true
  generation:
    description: The staged generation; C(previous) goes back to the one before.
    type: str
    required: true
  rollback:
    description:
      - The switch is a rollback. The host remembers it, so that a repeated rollback passes it over.
    type: bool
    default: false
  manifest:
    description:
      - Manifest of a generation that is not staged yet, packed; for check mode only, never logged.
    type: str
    default: ""
author: [Cairn]
"""

EXAMPLES = r"""
- name: Switch glance back to the generation before
  cairn_switch:
    service: glance
    generation: previous
"""

RETURN = r"""
restarted:
  description: Units that were restarted or started.
  type: list
  returned: success
reloaded:
  description: Units that were reloaded.
  type: list
  returned: success
stopped:
  description: Units that were stopped because they are not to run.
  type: list
  returned: success
removed:
  description: Units and files of the generation before that this one does not have.
  type: list
  returned: success
mended:
  description: Files, units and drop-ins that were changed by hand and are as they should be again.
  type: list
  returned: success
from:
  description: The generation that was in force.
  type: str
  returned: success
to:
  description: The generation that is in force.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, lock, paths, wire
from ansible.module_utils.cairn_host.probe.generations import link_name, read_change
from ansible.module_utils.cairn_host.service import staging, switching, virtualenv

LISTS = ("removed", "stopped", "reloaded", "restarted", "mended")


def told(ahead: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """What was done to the service by a switch ahead of this one and by this one."""
    if not ahead:
        return done
    return {
        "from": ahead["from"],
        "changed": ahead["changed"] or done["changed"],
        "seconds": {**ahead["seconds"], **done["seconds"]},
        **{key: sorted({*ahead[key], *done[key]}) for key in LISTS},
    }


def generation(role: str, asked: str) -> str:
    """The generation that is meant; HostError where there is no previous one."""
    if asked != "previous":
        return asked
    ident: str | None = link_name(paths.previous(role))
    if ident is None:
        raise errors.HostError(f"{role} has no previous generation on this host")
    return ident


def plan(asked: dict[str, Any]) -> dict[str, Any]:
    """What a switch would do, in the words of one that has done it."""
    role, ident = asked["service"], generation(asked["service"], asked["generation"])
    packed = asked["manifest"]
    done, diff = switching.plan(role, ident, wire.unpack(packed) if packed else None)
    return {**done, "to": ident, "diff": diff}


def work(asked: dict[str, Any], with_diff: bool) -> dict[str, Any]:
    """Switch, and clear away what nothing needs any more."""
    role = asked["service"]
    with lock.host_lock():
        ident = generation(role, asked["generation"])
        diff = switching.plan(role, ident)[1] if with_diff else []
        ahead = switching.switched_ahead(role, ident)
        done = switching.switch(role, ident, rollback=asked["rollback"])
        pruned = staging.prune(role)
        virtualenv.prune()
    return {**told(ahead, done), "to": ident, "pruned": pruned, "diff": diff}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "generation": {"type": "str", "required": True},
            "rollback": {"type": "bool", "default": False},
            "manifest": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {"changed": False, "service": module.params["service"]}
    try:
        if module.check_mode:
            module.exit_json(**{**result, **plan(module.params)})
        done = work(module.params, module._diff)
    except errors.HostError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(state=read_change([module.params["service"]]), **{**result, **done})


if __name__ == "__main__":
    main()
