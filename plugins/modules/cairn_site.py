"""Documentation of the action plugin of the same name; there is no module on hosts."""

DOCUMENTATION = r"""
module: cairn_site
short_description: Checks the planes of the whole inventory and returns the site
description:
  - Runs on the control node, once for all hosts, and reads every managed host's network variables.
  - Fails with all problems at once; each names host, plane, value and file.
author: Cairn
options: {}
"""

EXAMPLES = r"""
- name: Read the site
  cairn_site:
  run_once: true
  register: cairn_site
"""

RETURN = r"""
release:
  description: OpenStack release, such as C(2026.1).
  returned: success
  type: str
services:
  description: The optional services of the site.
  returned: success
  type: list
region:
  description: Name of the region.
  returned: success
  type: str
inventory:
  description: Directory of the inventory.
  returned: success
  type: str
planes:
  description: Plane name to cidr, prefix, vlan, mtu, gateway and vip.
  returned: success
  type: dict
hosts:
  description:
    - Host name to groups, number, addresses (by plane), devices (by plane), nics (mac, mtu, bond),
      provider_interface (of network hosts) and network (the hash of its units).
  returned: success
  type: dict
groups:
  description: The groups controller, network, compute and storage with their hosts.
  returned: success
  type: dict
vips:
  description: The addresses C(internal) and C(public) of the APIs.
  returned: success
  type: dict
names:
  description: The names C(internal) and C(public) of the APIs.
  returned: success
  type: dict
provider_networks:
  description: The provider networks of the inventory.
  returned: success
  type: dict
"""
