#!/usr/bin/python3
"""Everything Cairn asks a host about, in one remote call."""

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
  - The action plugin of the same name fills in what is to be asked from C(cairn_site).
author: Cairn
options:
  required:
    description: Whether a host that refuses makes the task fail; preflight makes a finding of it.
    type: bool
    default: true
  names:
    description: Host names to resolve.
    type: list
    elements: str
    default: []
  etc:
    description: Folders of /etc that would belong to Cairn.
    type: list
    elements: str
    default: []
  peers:
    description: Peers to ask at full MTU, each with host, plane, address, device and size.
    type: list
    elements: dict
    default: []
  devices:
    description: Paths of disks that services are to have.
    type: list
    elements: str
    default: []
  index:
    description: Package index that a bare host is to reach, without a login.
    type: str
    default: ""
  index_proxy:
    description: Proxy by which it is reached.
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
  description: hash of the confirmed units, trial (one is under way) and drift (sentences).
  returned: success
  type: dict
devices:
  description: Path of each disk asked for to what it is and holds, null where there is none.
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
    - What is wrong with the way to the package index, empty for nothing; absent where no virtualenv
      has to be built for all that the host knows, or where uv has a configuration of its own.
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
    """Whether somebody else has told this host's uv where packages are."""
    return any(Path(name).exists() for name in UV_CONFIGURATION)


def main() -> None:
    """Merge the readers' answers."""
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
    # Only from an interface that is there: before the first run most planes are not.
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
