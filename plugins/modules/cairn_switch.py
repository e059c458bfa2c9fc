#!/usr/bin/python
"""Module: switch services to staged generations, or back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_switch
short_description: Switch a service to a staged generation and wait until it is healthy
description:
  - Replaces one symlink and restarts only the units whose inputs changed, then waits until they are
    healthy. If one stays unhealthy, the service returns to the previous generation, and the error
    says why.
  - Manual changes to the generation are undone, and units that may run with them restart.
  - In check mode it returns the same without changing anything.
  - As an action it takes O(service), and O(generation) for a rollback; the default is the
    generation of the inventory. It calls the host only if something has to be done.
options:
  service:
    description: The service to switch.
    type: str
    required: true
  generation:
    description: The staged generation; C(previous) is the one before the current one.
    type: str
    required: true
  rollback:
    description:
      - The switch is a rollback. The host records it, so that a repeated rollback skips the host.
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
- name: Switch glance back to its previous generation
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
  description: Units that were stopped because they must not run.
  type: list
  returned: success
removed:
  description: Units and files of the previous generation that were removed.
  type: list
  returned: success
mended:
  description: Files, units and drop-ins whose manual changes were undone.
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


def result(ahead: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """The joint result of a switch in the background and of this one."""
    if not ahead:
        return done
    return {
        "from": ahead["from"],
        "changed": ahead["changed"] or done["changed"],
        "seconds": {**ahead["seconds"], **done["seconds"]},
        **{key: sorted({*ahead[key], *done[key]}) for key in LISTS},
    }


def generation(role: str, asked: str) -> str:
    """The id of a generation; HostError if there is no previous one."""
    if asked != "previous":
        return asked
    ident: str | None = link_name(paths.previous(role))
    if ident is None:
        raise errors.HostError(f"{role} has no previous generation on this host")
    return ident


def plan(asked: dict[str, Any]) -> dict[str, Any]:
    """The result of a switch, without switching."""
    role, ident = asked["service"], generation(asked["service"], asked["generation"])
    packed = asked["manifest"]
    done, diff = switching.plan(role, ident, wire.unpack(packed) if packed else None)
    return {**done, "to": ident, "diff": diff}


def work(asked: dict[str, Any], with_diff: bool) -> dict[str, Any]:
    """Switch, and prune old generations and virtualenvs."""
    role = asked["service"]
    with lock.host_lock():
        ident = generation(role, asked["generation"])
        diff = switching.plan(role, ident)[1] if with_diff else []
        ahead = switching.switched_ahead(role, ident)
        done = switching.switch(role, ident, rollback=asked["rollback"])
        pruned = staging.prune(role)
        virtualenv.prune()
    return {**result(ahead, done), "to": ident, "pruned": pruned, "diff": diff}


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
