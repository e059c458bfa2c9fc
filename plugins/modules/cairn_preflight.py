"""Documentation of the action plugin of the same name; nothing of it runs on a host."""

DOCUMENTATION = r"""
module: cairn_preflight
short_description: Holds inventory and hosts against what Cairn needs, and shows every finding
description:
  - Runs on the controller, once for all hosts, after C(cairn_site) and C(cairn_probe). Makes no
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
  description: Each with severity, check, host, text and remedy.
  returned: always
  type: list
left_out:
  description: Hosts that are off and without which the others may go on.
  returned: success
  type: list
"""
