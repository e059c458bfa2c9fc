#!/usr/bin/python
"""Module: format the blank disks of a storage host, and no others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_object_disks
short_description: Creates file systems for objects on blank disks
description:
  - Checks every disk first. If one is missing, in use or holds data, none is touched.
  - A disk with data is formatted only if its entry names the data in C(erase), by UUID, by type if
    there is no UUID, or by a hash if there is no signature.
options:
  disks:
    description: The host's swift_disks.
    type: list
    elements: dict
    required: true
  owner:
    description: Owner of the new file systems.
    type: str
    default: swift
author: [Cairn]
"""

EXAMPLES = r"""
- name: Format new disks
  cairn_object_disks:
    disks: "{{ swift_disks }}"
"""

RETURN = r"""
formatted:
  description: The disks that were formatted, as sentences.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, lock
from ansible.module_utils.cairn_host.records import read_records
from ansible.module_utils.cairn_host.storage import object_disks


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "disks": {"type": "list", "elements": "dict", "required": True},
            "owner": {"type": "str", "default": "swift"},
        },
        supports_check_mode=True,
    )
    disks, owner = module.params["disks"], module.params["owner"]
    try:
        with lock.host_lock():
            done = object_disks.prepare(disks, read_records(), owner, module.check_mode)
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done), formatted=done)


if __name__ == "__main__":
    main()
