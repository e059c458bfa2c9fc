#!/usr/bin/python
"""Module: build virtualenvs and pack them for other hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_build
short_description: Build each virtualenv once, for all hosts
description:
  - Without O(share), distributes the virtualenvs that hosts of the play lack, and of which the
    control node has no archive, over these hosts.
  - With it, builds and packs the host's share and fetches the archives to the control node, from
    where M(cairn_stage) sends them to every host.
options:
  share:
    description: Virtualenvs that this host builds, name to the name of the lock.
    type: dict
  services:
    description: Services whose virtualenvs are distributed; by default all.
    type: list
    elements: str
  payload:
    description: Locks and the path of uv, packed by the action plugin; never logged.
    type: str
author: [Cairn]
"""

EXAMPLES = r"""
- name: Spread the work
  cairn_build:
  run_once: true
  register: cairn_builders

- name: Build
  cairn_build:
    share: "{{ cairn_builders.builders[inventory_hostname] }}"
  when: inventory_hostname in cairn_builders.builders
"""

RETURN = r"""
builders:
  description: Host to virtualenv to lock.
  type: dict
  returned: without share
built:
  description: Seconds for building and packing, by virtualenv.
  type: dict
  returned: with share
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, wire
from ansible.module_utils.cairn_host.lock import host_lock
from ansible.module_utils.cairn_host.probe.generations import read_state
from ansible.module_utils.cairn_host.service import staging, virtualenv


def build_all(payload: dict[str, Any], result: dict[str, Any]) -> None:
    """Build and pack the payload's virtualenvs; adds to `result` after each."""
    with host_lock():
        uv = virtualenv.place_uv(payload["uv"])
        for name, lock in payload["locks"].items():
            start = time.monotonic()
            made = virtualenv.build(name, lock, payload["builders"], uv, payload["environment"])
            staging.remember_options(name, payload["namespaces"][name])
            result["archives"][name] = virtualenv.pack(name)
            if made and name not in payload["keep"]:
                virtualenv.remove(name)
            result["built"][name] = round(time.monotonic() - start, 1)
            result["changed"] = True


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "share": {"type": "dict"},
            "services": {"type": "list", "elements": "str"},
            "payload": {"type": "str", "no_log": True},
        }
    )
    result: dict[str, Any] = {"changed": False, "built": {}, "archives": {}}
    try:
        build_all(wire.unpack(module.params["payload"]), result)
    except errors.HostError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(state=read_state(), **result)


if __name__ == "__main__":
    main()
