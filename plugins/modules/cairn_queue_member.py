#!/usr/bin/python
"""Module: make this host's RabbitMQ a member of the controllers' cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_queue_member
short_description: Makes this host's RabbitMQ a member of the others' cluster
description:
  - A node starts alone and joins through this module, which looks at the nodes' clusters and not at
    the order of their start. If no other node runs yet, it stays alone as the first of a new
    cluster.
  - The cluster still knows a reinstalled node and would refuse it, so the module first removes the
    old node from the cluster. Afterwards every quorum queue and stream gets a replica on the node.
  - A node with virtual hosts of its own that is in no cluster is refused.
options:
  node:
    description: This host's node, such as C(rabbit@controller2).
    type: str
    required: true
  others:
    description: The nodes of the other controllers on which RabbitMQ runs.
    type: list
    elements: str
    required: true
author: Cairn
"""

EXAMPLES = r"""
- name: Join the cluster
  cairn_queue_member:
    node: rabbit@controller2
    others: [rabbit@controller1]
"""

RETURN = r"""
members:
  description: The nodes of this node's cluster.
  returned: success
  type: list
done:
  description: What was done, in words.
  returned: success
  type: list
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.errors import HostError
from ansible.module_utils.cairn_host.messaging import cluster


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=False,
    )
    try:
        nodes, done = cluster.join(module.params["node"], module.params["others"])
    except HostError as error:
        module.fail_json(msg=str(error), changed=False)
    module.exit_json(changed=bool(done), members=nodes, done=done)


if __name__ == "__main__":
    main()
