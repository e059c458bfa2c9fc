#!/usr/bin/python
"""Module: create the volume group of a storage host, on blank disks only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_volume_group
short_description: Creates or extends a volume group of blank disks
description:
  - Checks every disk first. If one is missing, in use or holds data that is not named, none is
    touched and the module fails.
  - Removes no disk from the group. A group that has disappeared is not created again.
options:
  name:
    description: The volume group.
    type: str
    required: true
  disks:
    description:
      - Its disks, each a path, or O(disks[].device) with O(disks[].erase), which names data that
        may be destroyed. Without disks the group must exist.
    type: list
    elements: raw
    required: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create the volume group on its disks, or extend it by new ones
  cairn_volume_group:
    name: cinder-volumes
    disks: [/dev/disk/by-id/nvme-eui.0025385b01409b11]
"""

RETURN = r"""
done:
  description: What was done, as sentences.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, lock
from ansible.module_utils.cairn_host.records import read_records
from ansible.module_utils.cairn_host.storage import volume_group


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "disks": {"type": "list", "elements": "raw", "required": True},
        },
        supports_check_mode=True,
    )
    name, disks = module.params["name"], module.params["disks"]
    try:
        with lock.host_lock():
            done = volume_group.prepare(name, disks, read_records(), module.check_mode)
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done), done=done)


if __name__ == "__main__":
    main()
