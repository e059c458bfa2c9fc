#!/usr/bin/python
"""Module: move a service's database schema with the staged code."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_migrate
short_description: Run a service's schema steps of one phase and record that they are done
description:
  - A first migration that was cut off begins anew, in databases that are empty again.
  - As an action it takes O(service) and O(phase), and calls the host only where its record says
    that the steps are due. After an upgrade to another release those after the switch wait for the
    next run, unless the variable C(contract) asks for them.
options:
  service:
    description: The service.
    type: str
    required: true
  generation:
    description: The staged generation whose code and configuration are used.
    type: str
    required: true
  phase:
    description: Steps of which phase; C(before) or C(after) the switch.
    type: str
    choices: [before, after]
    required: true
  record:
    description: Name of the record that tells the phase is done.
    type: str
    required: true
  value:
    description: What the record holds then.
    type: str
    required: true
  databases:
    description: The service's databases, where this phase makes their tables.
    type: list
    elements: str
    default: []
  release:
    description: The OpenStack release that the schema is moved to for good, recorded before it is.
    type: str
    default: ""
author: [Cairn]
"""

EXAMPLES = r"""
- name: Expand the schema of glance
  cairn_migrate:
    service: glance
    phase: before
"""

RETURN = r"""
steps:
  description: Each step that was run, with its seconds.
  type: list
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, lock, records
from ansible.module_utils.cairn_host.database import first_schema
from ansible.module_utils.cairn_host.service import staging


def work(asked: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """Run the steps, telling each in `steps`, and note that they are done."""
    marked, emptied = first_schema.begin(asked["databases"])
    if emptied:
        rest = f"remove what was left half-made in {', '.join(emptied)}"
        steps.append({"step": rest, "seconds": 0.0})
    if asked["release"]:
        # Before they run: steps that are cut off may have taken the way back already.
        records.record(f"contracted-{asked['service']}", asked["release"])
    staging.migrate(asked["service"], asked["generation"], asked["phase"], steps)
    # In this order: what a record calls done is not to be emptied.
    first_schema.end(marked)
    records.record(asked["record"], asked["value"])


def main() -> None:
    """Run the module."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "service": text,
            "generation": text,
            "phase": {**text, "choices": ["before", "after"]},
            "record": text,
            "value": text,
            "databases": {"type": "list", "elements": "str", "default": []},
            "release": {"type": "str", "default": ""},
        },
        supports_check_mode=False,
    )
    asked = module.params
    steps: list[dict[str, Any]] = []
    try:
        with lock.host_lock():
            work(asked, steps)
    except errors.HostError as error:
        module.fail_json(msg=str(error), steps=steps, changed=bool(steps))
    module.exit_json(changed=bool(steps), steps=steps)


if __name__ == "__main__":
    main()
