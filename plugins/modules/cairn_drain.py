#!/usr/bin/python
"""Module: have this host's HAProxy send no new requests to servers that are about to restart."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_drain
short_description: Drains servers of HAProxy, and restores them
description:
  - With O(state=drain), new requests go to the other servers of a backend, and the module waits for
    requests in progress. It drains a server only if another one is up, and for at most O(minutes),
    after which a timer on the host restores it even if the run was interrupted.
  - A server that an operator has drained or put into maintenance stays so. O(state=ready) restores
    only servers that this module drained.
  - Does nothing on a host without a running HAProxy.
  - As an action it takes C(service), whose servers it finds, O(state), and C(generation), the
    target of the switch; it calls the load balancer only if something restarts.
options:
  servers:
    description: Servers to drain or restore, each as C(backend/server).
    type: list
    elements: str
    required: true
  state:
    description: Drain the servers, or restore them.
    type: str
    choices: [drain, ready]
    required: true
  patience:
    description: Maximum seconds to wait for another server, and for requests in progress.
    type: float
    default: 60
  minutes:
    description: Minutes after which the servers are restored in any case.
    type: int
    default: 20
author: Cairn
"""

EXAMPLES = r"""
- name: Send new requests to the other controllers
  cairn_drain:
    service: keystone
    state: drain
"""

RETURN = r"""
drained:
  description: The servers that get no new requests now.
  returned: success
  type: list
left:
  description: Requests still in progress after O(patience).
  returned: success
  type: int
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.errors import HostError
from ansible.module_utils.cairn_host.service import draining


def main() -> None:
    """Drain or restore."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["drain", "ready"], "required": True},
            "patience": {"type": "float", "default": 60},
            "minutes": {"type": "int", "default": 20},
        },
        supports_check_mode=False,
    )
    names = module.params["servers"]
    result: dict[str, Any] = {"changed": False, "drained": [], "left": 0}
    if not draining.running():
        module.exit_json(**result)
    try:
        if module.params["state"] == "drain":
            patience, minutes = module.params["patience"], module.params["minutes"]
            result["drained"], result["left"] = draining.take_out(names, patience, minutes)
        else:
            draining.put_back(names)
    except (OSError, HostError) as error:
        module.fail_json(msg=f"HAProxy here: {error}", **result)
    # A temporary state is no change of the host.
    module.exit_json(**result)


if __name__ == "__main__":
    main()
