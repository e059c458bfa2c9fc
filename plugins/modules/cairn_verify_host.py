#!/usr/bin/python
"""Module: collect a request's traces from this host's journal and libvirt."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_verify_host
short_description: Collects a request's traces on a host
description:
  - Reads the journal of the services once and returns the lines with one of the ids or patterns,
    and the last errors of the window.
  - Returns libvirt's domain of an instance, on a host with libvirt.
  - Changes nothing.
options:
  since:
    description: Start of the window, in seconds since the epoch.
    type: float
    required: true
  until:
    description: End of the window, in seconds since the epoch.
    type: float
    required: true
  units:
    description: Globs of the units to read.
    type: list
    elements: str
    required: true
  ids:
    description: Ids of lines to return.
    type: list
    elements: str
    required: true
  patterns:
    description: Regular expressions of lines to return.
    type: list
    elements: str
    default: []
  domain:
    description: Id of an instance, to look up in libvirt.
    type: str
author: [Cairn]
"""

EXAMPLES = r"""
- name: Collect the traces of a request
  cairn_verify_host:
    since: 1764000000
    until: 1764000120
    units: ["nova*"]
    ids: [req-6d6c2f7e-0a7e-4f0e-9a55-0d6f0f2f7a10]
"""

RETURN = r"""
problem:
  description: Why the journal could not be read; nothing else is returned then.
  returned: failure to read the journal
  type: str
lines:
  description: Lines with an id or a pattern, as time, unit and text.
  returned: success
  type: list
  elements: dict
errors:
  description: The last errors in the window.
  returned: success
  type: list
  elements: dict
domain:
  description: State, memory_mb, vcpus and name of the domain; empty if there is none.
  returned: success
  type: dict
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.probe import journal


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "since": {"type": "float", "required": True},
            "until": {"type": "float", "required": True},
            "units": {"type": "list", "elements": "str", "required": True},
            "ids": {"type": "list", "elements": "str", "required": True},
            "patterns": {"type": "list", "elements": "str", "default": []},
            "domain": {"type": "str"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    try:
        found = journal.read(
            wanted["since"], wanted["until"], wanted["units"], wanted["ids"], wanted["patterns"]
        )
    except (OSError, subprocess.CalledProcessError) as error:
        # A result, not a failure: a failed host would prevent the clean-up.
        module.exit_json(changed=False, problem=str(getattr(error, "stderr", None) or error))
    domain = journal.domain(wanted["domain"]) if wanted["domain"] else {}
    module.exit_json(changed=False, domain=domain, **found)


if __name__ == "__main__":
    main()
