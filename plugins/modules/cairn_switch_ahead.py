#!/usr/bin/python
"""Module: switch services in the background while the run continues elsewhere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_switch_ahead
short_description: Switch services to staged generations in the background
description:
  - Switches the services one after the other in a background process, which stops at the first
    failure.
  - M(cairn_switch) waits for that process. It returns what the process did to a service, or
    switches the service again, so that no error is lost.
  - As an action it takes O(services) as a list, and skips services that already have a generation
    in force.
options:
  services:
    description: Staged generation by service, in the order in which they are switched.
    type: dict
    required: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Switch services in the background
  cairn_switch_ahead:
    services: [ovn, neutron, nova]
"""

RETURN = r"""
switching:
  description: Services that are being switched in the background.
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
    module.exit_json(changed=True, switching=list(services))


if __name__ == "__main__":
    main()
