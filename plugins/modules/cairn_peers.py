#!/usr/bin/python3
"""Asks peers whether they answer at full MTU."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.probe.ping import ask_peers

DOCUMENTATION = r"""
module: cairn_peers
short_description: Asks hosts by unfragmented ICMP echo, small and at full MTU
description:
  - Changes nothing. Each peer is asked from the device that carries the plane.
author: Cairn
options:
  peers:
    description: Whom to ask; each has host, plane, address, device and size (bytes of IP packet).
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
    """Ask and return."""
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
