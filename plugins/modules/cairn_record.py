#!/usr/bin/python
"""Module: write a record on the host, so that unchanged runs can skip a call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_record
short_description: Records on the host that a step was done with these inputs
options:
  name:
    description: Name of the record.
    type: str
    required: true
  value:
    description: The inputs; the record contains their hash.
    type: str
    required: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Record the names in the certificate
  cairn_record:
    name: certificate
    value: "{{ __pki_names | join(' ') }}"
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, records


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "value": {"type": "str", "required": True, "no_log": False},
        },
        supports_check_mode=False,
    )
    try:
        with errors.refusals():
            changed = records.record(module.params["name"], module.params["value"])
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
