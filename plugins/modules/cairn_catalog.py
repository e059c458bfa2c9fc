#!/usr/bin/python
"""Module: keystone's catalog, service users and roles, declared in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_catalog
short_description: Declares region, services, endpoints, domains, service users and their roles
description:
  - The action plugin of the same name collects all roles' descriptions and calls this once, on the
    first controller, with the Python of keystone's virtualenv.
  - Changes only what differs, and checks passwords by logging in. If the administrator cannot log
    in, it bootstraps keystone first.
options:
  auth_url:
    description: The internal URL of keystone's API, with its version.
    type: str
    required: true
  ca_file:
    description: Certificate authority of the API's certificate.
    type: str
    required: true
  admin_password:
    description: Password of the user C(admin).
    type: str
    required: true
  bootstrap:
    description: Command that bootstraps keystone; it reads the password from its environment.
    type: list
    elements: str
    required: true
  user:
    description: Account that runs the command.
    type: str
    required: true
  region:
    description: Name of the region.
    type: str
    required: true
  services:
    description: Services of the catalog.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Its name., type: str, required: true}
      type: {description: Its type., type: str, required: true}
      description: {description: What it is., type: str, required: true}
      internal: {description: Its internal URL., type: str, required: true}
      public: {description: Its public URL., type: str, required: true}
  users:
    description: Service users.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Its name., type: str, required: true}
      password: {description: Its password., type: str, required: true}
      project: {description: The project in which it has its roles., type: str, required: true}
      roles: {description: Its roles., type: list, elements: str, required: true}
  domains:
    description: Domains in addition to the default one.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      admin: {description: The user who administers it., type: str, required: true}
      password: {description: The password of that user., type: str, required: true}
  roles:
    description: Roles that must exist even if no service user has them.
    type: list
    elements: str
    default: []
  record:
    description: Value of the record that is written on success.
    type: str
    required: true
author: Cairn
"""

EXAMPLES = r"""
- name: Create services, endpoints, service users and roles in keystone
  cairn_catalog:
"""

RETURN = r"""
changes:
  description: What was, or in check mode would be, created or changed.
  returned: success
  type: list
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import reconcile
from ansible.module_utils.cairn_host.identity import keystone

SERVICE_KEYS = ("name", "type", "description", "internal", "public")


def main() -> None:
    """Run the module."""
    text = {"type": "str", "required": True}
    entries = {"type": "list", "elements": "dict", "required": True}
    module = AnsibleModule(
        argument_spec={
            "auth_url": text,
            "ca_file": text,
            "admin_password": {**text, "no_log": True},
            "bootstrap": {"type": "list", "elements": "str", "required": True},
            "user": text,
            "region": text,
            "services": {
                **entries,
                "options": dict.fromkeys(SERVICE_KEYS, text),
            },
            "users": {
                **entries,
                "options": {
                    "name": text,
                    "password": {**text, "no_log": True},
                    "project": text,
                    "roles": {"type": "list", "elements": "str", "required": True},
                },
            },
            "domains": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": text, "admin": text, "password": {**text, "no_log": True}},
            },
            "roles": {"type": "list", "elements": "str", "default": []},
            "record": {**text, "no_log": False},
        },
        supports_check_mode=True,
    )
    reconcile.keep(module, "catalog", keystone.declare)


if __name__ == "__main__":
    main()
