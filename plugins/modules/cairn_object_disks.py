#!/usr/bin/python
"""Module: format the disks of a storage host that are blank, and no other."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_object_disks
short_description: Make file systems on blank disks for objects
description:
  - Looks at every disk first. If one is missing, in use or holds anything, none is touched.
  - A disk that holds something is formatted only if its entry names that in C(erase), by UUID, by
    type where there is no UUID, or by a hash where there is no signature.
options:
  disks:
    description: The host's swift_disks.
    type: list
    elements: dict
    required: true
  owner:
    description: User that the new file systems belong to.
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
  description: Which disks were formatted, as sentences.
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
