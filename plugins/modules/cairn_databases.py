#!/usr/bin/python
"""Module: every service's databases, users and grants, in one call on a MariaDB server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_databases
short_description: Keeps databases, their users and grants
description:
  - Connects to the server on this host through its socket, as root. Changes only what differs.
  - A user can access only its listed databases, only from the given hosts, and only with TLS.
    Other databases and users are left alone; databases are never dropped.
  - As an action it takes no arguments; the data comes from the services' descriptions.
options:
  databases:
    description: Databases, each with its user.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: The database., type: str, required: true}
      user: {description: The user with access., type: str, required: true}
      password: {description: The user's password., type: str, required: true}
      hosts:
        description: Hosts from which the user connects, such as 192.0.2.0/255.255.255.0.
        type: list
        elements: str
        required: true
  record:
    description: Value of the record that is written on success; the next run then skips the call.
    type: str
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create databases, users and grants of all services
  cairn_databases:
"""

RETURN = r"""
changes:
  description: What was or would be done, as sentences.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import reconcile
from ansible.module_utils.cairn_host.database import grants


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "databases": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "user": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "hosts": {"type": "list", "elements": "str", "required": True},
                },
            },
            "record": {"type": "str"},
        },
        supports_check_mode=True,
    )
    reconcile.keep(
        module, "databases", lambda asked, check: grants.declare(asked["databases"], check)
    )


if __name__ == "__main__":
    main()
