#!/usr/bin/python
"""Module: begin switches that go on while the run is busy elsewhere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_begin
short_description: Begin to switch services to staged generations, without waiting for the end
description:
  - Switches them one after the other in a process of its own, which ends at the first that fails.
  - M(cairn_switch) waits for that process, and tells what it has done to the service or does it
    again, so that nothing gets lost of an error.
  - As an action it takes O(services) as a list, and leaves out what serves already.
options:
  services:
    description: Staged generation by service, in the order in which they are switched.
    type: dict
    required: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Begin on hosts that serve nothing yet
  cairn_begin:
    services: [ovn, neutron, nova]
"""

RETURN = r"""
begun:
  description: Services that are being switched.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.service import switching
from ansible.module_utils.service import fork_process


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"services": {"type": "dict", "required": True}}, supports_check_mode=False
    )
    services = module.params["services"]
    if fork_process() == 0:
        switching.switch_ahead(services)
        return
    module.exit_json(changed=True, begun=list(services))


if __name__ == "__main__":
    main()
