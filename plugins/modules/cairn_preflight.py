"""Documentation of the action plugin of the same name; there is no module on hosts."""

DOCUMENTATION = r"""
module: cairn_preflight
short_description: Checks inventory and hosts, and shows every finding
description:
  - Runs on the control node, once for all hosts, after C(cairn_site) and C(cairn_probe). Makes no
    remote call.
  - Shows all findings of all hosts in one table and fails if any of them is an error.
author: Cairn
options: {}
"""

EXAMPLES = r"""
- name: Show findings, and stop if there are errors
  cairn_preflight:
  run_once: true
  register: cairn_preflight
"""

RETURN = r"""
findings:
  description: Findings, each with severity, check, host, text and remedy.
  returned: always
  type: list
left_out:
  description: Unreachable hosts without which the run can continue.
  returned: success
  type: list
"""
