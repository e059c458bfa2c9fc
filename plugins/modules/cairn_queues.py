#!/usr/bin/python
"""Module: queue users and virtual hosts of all services, in one call on a RabbitMQ node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_queues
short_description: Keep RabbitMQ's users, virtual hosts and permissions
description:
  - Each user gets its virtual host with all permissions, and elsewhere exactly the permissions in
    O(queues[].grants). New queues in its virtual host are quorum queues, and its policies are
    exactly those listed. The user C(guest) is removed; other unlisted users are left alone.
  - Starting C(rabbitmqctl) takes seconds, so it runs once to compare, and a second time only if
    something changes.
  - As an action it takes O(ask) alone; the rest comes from the services' descriptions.
options:
  queues:
    description: Users, each with its virtual host and password.
    type: list
    elements: dict
    required: true
    suboptions:
      user: {description: The user., type: str, required: true}
      vhost: {description: Its virtual host., type: str, required: true}
      password: {description: The user's password., type: str, required: true}
      grants:
        description: "Permissions in other virtual hosts: vhost, configure, write, read."
        type: list
        elements: dict
      policies:
        description: "Policies for queues of its virtual host: name, pattern, definition."
        type: list
        elements: dict
  record:
    description: Value of the record that is written on success; the next run then skips the call.
    type: str
  ask:
    description:
      - The command that evaluates Erlang on the node, C(rabbitmqctl), or C(erl_call) with
        C(-sname) or C(-name) and the node. C(erl_call) takes a tenth of the time, but does not
        support TLS.
    type: list
    elements: str
    default: [rabbitmqctl]
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create users and virtual hosts of all services
  cairn_queues:
    ask: [erl_call, -sname, rabbit@controller1]
"""

RETURN = r"""
changes:
  description: What was or would be done, as sentences.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import reconcile
from ansible.module_utils.cairn_host.messaging import definitions


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "queues": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "user": {"type": "str", "required": True},
                    "vhost": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "grants": {"type": "list", "elements": "dict"},
                    "policies": {"type": "list", "elements": "dict"},
                },
            },
            "record": {"type": "str"},
            "ask": {"type": "list", "elements": "str", "default": ["rabbitmqctl"]},
        },
        supports_check_mode=True,
    )
    reconcile.keep(
        module,
        "queues",
        lambda asked, check: definitions.declare(asked["queues"], asked["ask"], check),
    )


if __name__ == "__main__":
    main()
