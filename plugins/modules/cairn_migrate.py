#!/usr/bin/python
"""Module: move a service's database schema with the staged code."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_migrate
short_description: Run a service's schema steps of one phase and record that they are done
description:
  - A first migration that was interrupted starts again in emptied databases.
  - As an action it takes O(service) and O(phase), and calls the host only if its record shows that
    the steps are due. After an upgrade to another release the steps after the switch wait for the
    next run, unless the variable C(contract) is set.
options:
  service:
    description: The service.
    type: str
    required: true
  generation:
    description: The staged generation whose code and configuration run the steps.
    type: str
    required: true
  phase:
    description: The phase whose steps are run, C(before) or C(after) the switch.
    type: str
    choices: [before, after]
    required: true
  record:
    description: Name of the record that marks the phase as done.
    type: str
    required: true
  value:
    description: Content of that record.
    type: str
    required: true
  databases:
    description: The service's databases, if this phase creates their tables.
    type: list
    elements: str
    default: []
  release:
    description: The OpenStack release that the schema moves to irreversibly, recorded beforehand.
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
  description: Each step that was run, and its duration in seconds.
  type: list
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, lock, records
from ansible.module_utils.cairn_host.database import first_schema
from ansible.module_utils.cairn_host.service import staging


def work(asked: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """Run the steps, append each to `steps`, and record that they are done."""
    marked, emptied = first_schema.mark(asked["databases"])
    if emptied:
        rest = f"remove what was left half-made in {', '.join(emptied)}"
        steps.append({"step": rest, "seconds": 0.0})
    if asked["release"]:
        # Before they run: interrupted steps may already have made a rollback impossible.
        records.record(f"contracted-{asked['service']}", asked["release"])
    staging.migrate(asked["service"], asked["generation"], asked["phase"], steps)
    # In this order: databases whose record says done must not be emptied.
    first_schema.unmark(marked)
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
