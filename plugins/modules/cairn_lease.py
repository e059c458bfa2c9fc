#!/usr/bin/python
"""Module: note on a controller who is changing the site."""

from __future__ import annotations

import fcntl
import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, files, paths
from ansible.module_utils.cairn_host.records import read_lease

DOCUMENTATION = r"""
module: cairn_lease
short_description: Takes or gives up the lease under which a run changes the site
description:
  - A lease that another run holds is left to it, and returned as RV(other).
  - As an action it takes O(state) alone, and knows itself who this run is.
options:
  state:
    description: Whether this run is to hold the lease.
    type: str
    choices: [held, free]
    required: true
  holder:
    description: Who this run is; its C(token) tells it from every other.
    type: dict
    required: true
  replace:
    description: Token of a run that holds the lease and is known to have ended.
    type: str
author: Cairn
"""

EXAMPLES = r"""
- name: Take the lease
  cairn_lease:
    state: held
"""

RETURN = r"""
held:
  description: Whether this run holds the lease now.
  returned: success
  type: bool
other:
  description: The run that holds it, if it is not this one.
  returned: success
  type: dict
"""


def lease(
    state: str, holder: dict[str, Any], replace: str | None
) -> tuple[bool, dict[str, Any] | None]:
    """Take the lease or give it up; whether it is held, and by whom else."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / "lease.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        other = read_lease()
        mine = other is not None and other["token"] == holder["token"]
        if state == "free":
            if mine:
                paths.LEASE.unlink()
            return False, None
        if other and not mine and other["token"] != replace:
            return False, other
        text = json.dumps(holder, indent=1).encode()
        files.write_atomic(paths.LEASE, text, 0o644, "root", "root")
        return True, None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "free"], "required": True},
            "holder": {"type": "dict", "required": True},
            "replace": {"type": "str", "no_log": False},
        },
        supports_check_mode=False,
    )
    try:
        with errors.refusals():
            held, other = lease(**module.params)
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    # Who is at work is no change of the host.
    module.exit_json(changed=False, held=held, other=other)


if __name__ == "__main__":
    main()
