#!/usr/bin/python3
"""Module: read everything that Cairn needs to know about a host, in one remote call."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.probe.apt_sources import ask
from ansible.module_utils.cairn_host.probe.block_devices import read_device, read_labels
from ansible.module_utils.cairn_host.probe.facts import read_host
from ansible.module_utils.cairn_host.probe.generations import read_state
from ansible.module_utils.cairn_host.probe.ping import ask_peers
from ansible.module_utils.cairn_host.storage.volume_group import read_volume_groups

DOCUMENTATION = r"""
module: cairn_probe
short_description: Reads hardware, system, network and Cairn's own state of a host in one call
description:
  - Changes nothing. Register the result as C(cairn_host).
  - The action plugin of the same name takes the options from C(cairn_site).
author: Cairn
options:
  required:
    description: Whether a failed login fails the task; preflight turns it into a finding instead.
    type: bool
    default: true
  names:
    description: Host names to resolve.
    type: list
    elements: str
    default: []
  etc:
    description: Folders of /etc that Cairn would replace by links.
    type: list
    elements: str
    default: []
  peers:
    description: Peers to ping at full MTU, each with host, plane, address, device and size.
    type: list
    elements: dict
    default: []
  devices:
    description: Paths of disks for services.
    type: list
    elements: str
    default: []
  index:
    description: Package index that a bare host must reach, without credentials.
    type: str
    default: ""
  index_proxy:
    description: Proxy for the package index.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Read every host once
  cairn_probe:
  register: cairn_host
  ignore_unreachable: true
"""

RETURN = r"""
os:
  description: id, version and codename of the system.
  returned: success
  type: dict
nics:
  description: Interface to mac, kind, mtu, up, link (null while down) and addresses.
  returned: success
  type: dict
network:
  description: hash of the confirmed units, unconfirmed (a change waits) and drift (sentences).
  returned: success
  type: dict
devices:
  description: Path of each requested disk to its state and contents, null if it does not exist.
  returned: success
  type: dict
volume_groups:
  description: LVM volume group to its disks.
  returned: success
  type: dict
labels:
  description: Label of each file system to its device.
  returned: success
  type: dict
index:
  description:
    - Why the package index cannot be reached, empty if it can. Absent if the host does not need to
      build a virtualenv, or if its uv has its own configuration.
  returned: success
  type: dict
services:
  description: Role to its current, previous and staged generations and drift.
  returned: success
  type: dict
"""

PEER_TIMEOUT = 2.0
UV_CONFIGURATION = ("/etc/uv/uv.toml", "/root/.config/uv/uv.toml")


def configured_uv() -> bool:
    """Whether this host's uv has its own configuration."""
    return any(Path(name).exists() for name in UV_CONFIGURATION)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "default": []},
            "etc": {"type": "list", "elements": "str", "default": []},
            "peers": {"type": "list", "elements": "dict", "default": []},
            "devices": {"type": "list", "elements": "str", "default": []},
            "index": {"type": "str", "default": ""},
            "index_proxy": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        name = pwd.getpwuid(os.geteuid()).pw_name
        module.fail_json(msg=f"Cairn runs as {name}, not as root", not_root=True)
    asked = module.params
    host = read_host(Path("/"), asked["names"], asked["etc"])
    # Only through existing interfaces: before the first run most planes have none.
    peers = [p for p in asked["peers"] if p["device"] in host["nics"]]
    state = read_state()
    if not state["services"] and asked["index"].startswith("http") and not configured_uv():
        problem = ask(asked["index"], asked["index_proxy"])
        host["index"] = {"url": asked["index"], "problem": problem}
    module.exit_json(
        changed=False,
        peers=ask_peers(peers, PEER_TIMEOUT) if peers else [],
        devices={path: read_device(path) for path in asked["devices"]},
        labels=read_labels(),
        volume_groups=read_volume_groups(),
        **host,
        **state,
    )


if __name__ == "__main__":
    main()
