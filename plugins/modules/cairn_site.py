"""Documentation of the action plugin of the same name; nothing of it runs on a host."""

DOCUMENTATION = r"""
module: cairn_site
short_description: Checks the planes of the whole inventory and returns the site
description:
  - Runs on the controller, once for all hosts, and reads every managed host's network variables.
  - Fails with every mistake at once; each names host, plane, value and file.
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
  description: The optional services that the site has.
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
  description: The provider networks as the inventory has them.
  returned: success
  type: dict
"""
