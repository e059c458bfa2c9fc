#!/usr/bin/python3
"""Module: ping peers at full MTU."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.probe.ping import ask_peers

DOCUMENTATION = r"""
module: cairn_peers
short_description: Pings hosts with unfragmented packets, small and at full MTU
description:
  - Changes nothing. Packets leave through the device of the plane.
author: Cairn
options:
  peers:
    description: Peers, each with host, plane, address, device and size (bytes of the IP packet).
    type: list
    elements: dict
    required: true
  timeout:
    description: Seconds for all answers.
    type: float
    default: 2.0
"""

EXAMPLES = r"""
- name: Ask a neighbour
  cairn_peers:
    peers:
      - {host: compute2, plane: storage, address: 10.0.20.14, device: stor0.20, size: 9000}
"""

RETURN = r"""
peers:
  description: The peers with small and full (whether each packet was answered) and error.
  returned: success
  type: list
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "peers": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    answers = ask_peers(module.params["peers"], module.params["timeout"])
    module.exit_json(changed=False, peers=answers)


if __name__ == "__main__":
    main()
