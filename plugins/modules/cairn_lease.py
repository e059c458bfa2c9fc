#!/usr/bin/python
"""Module: keep on a controller the lease of the run that changes the site."""

from __future__ import annotations

import fcntl
import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, files, paths
from ansible.module_utils.cairn_host.records import read_lease

DOCUMENTATION = r"""
module: cairn_lease
short_description: Takes or releases the lease under which a run changes the site
description:
  - A lease of another run is not touched, and returned as RV(other).
  - As an action it takes O(state) alone, and identifies this run itself.
options:
  state:
    description: Take the lease, or release it.
    type: str
    choices: [held, free]
    required: true
  holder:
    description: This run; its C(token) is unique.
    type: dict
    required: true
  replace:
    description: Token of a run whose lease is taken over, as it has ended.
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
    """Take the lease or release it; returns whether this run holds it, and another holder."""
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
    # The lease is no change of the host.
    module.exit_json(changed=False, held=held, other=other)


if __name__ == "__main__":
    main()
