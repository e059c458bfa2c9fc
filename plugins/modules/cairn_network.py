#!/usr/bin/python3
"""The host's side of a network change that reverts by itself unless confirmed."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.network import commit

DOCUMENTATION = r"""
module: cairn_network
short_description: Changes a host's network, and reverts it unless it is confirmed
description:
  - C(applied) saves the old configuration, arms the timer that restores it and applies the units
    of C(cairn_site). Hosts that already have them are not called.
  - C(asked) pings every peer on every plane at full MTU until all answer or time runs short.
  - C(confirmed) keeps the change if every peer of every host of this play answered. Otherwise it
    restores the old configuration and fails with the peers that did not answer.
  - In check mode C(applied) returns the files, links and units that it would change, in the form
    in which a run returns what it changed; C(confirmed) does nothing.
author: Cairn
options:
  state:
    description: The step; C(arm), C(status), C(confirm), C(revert) and C(read) are internal.
    type: str
    required: true
    choices: [applied, asked, confirmed, arm, status, confirm, revert, read]
  window:
    description:
      - Seconds until the old configuration is restored.
      - The default is computed from the number of hosts in the play, the forks and the duration of
        the probe.
    type: int
  keep:
    description: Patterns of foreign unit files in /etc/systemd/network to leave in place.
    type: list
    elements: str
    default: []
  excused:
    description: Hosts that need not answer.
    type: list
    elements: str
    default: []
  applied:
    description: Result of the step C(applied).
    type: dict
  asked:
    description: Host name to the result of its step C(asked), for every host of the play.
    type: dict
  request:
    description: Internal; the change that C(arm) applies.
    type: dict
"""

EXAMPLES = r"""
- name: Apply the units with the revert timer armed
  cairn_network:
    state: applied
  register: __network_applied
"""

RETURN = r"""
diff:
  description: The difference of every file that configures the network, and of the links.
  returned: applied
  type: list
restarted:
  description: systemd-networkd, if it was not running (otherwise it is in C(reloaded)).
  returned: applied
  type: list
removed:
  description: Files that were removed; the originals are kept in /var/lib/cairn/network/retired.
  returned: applied
  type: list
mended:
  description: Manual changes that were undone, as sentences.
  returned: applied
  type: list
missing:
  description: Peers that should have answered but did not (C(asked)).
  returned: asked
  type: list
off:
  description: Hosts that answer on no plane and are assumed to be off (C(asked)).
  returned: asked
  type: list
"""


def program() -> str:
    """The source of netcommit.py, from this module's archive."""
    source = commit.__loader__.get_source(commit.__name__)
    if not source:
        raise commit.NetworkError("the source of netcommit.py is not in the module")
    return str(source)


def main() -> None:
    """Run one internal step on the host."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "required": True,
                "choices": ["arm", "status", "confirm", "revert", "read"],
            },
            "request": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    transaction = commit.Transaction()
    state = module.params["state"]
    if module.check_mode and state not in ("status", "read"):
        module.fail_json(msg=f"cairn_network: state {state} does not support check mode")
    try:
        if state == "arm":
            result = transaction.arm(module.params["request"], program())
        elif state == "confirm":
            result = transaction.confirm((module.params["request"] or {}).get("hash", ""))
        elif state == "revert":
            transaction.revert_now()
            result = {}
        elif state == "read":
            result = transaction.preview(module.params["request"])
        else:
            result = transaction.status()
    except (commit.NetworkError, OSError) as error:
        module.fail_json(msg=str(error), busy=isinstance(error, commit.BusyError))
    for bond in result.pop("lonely_bonds", []):
        module.warn(
            f"{bond} has no LACP partner, so one of its NICs carries all traffic: "
            "configure its switch ports as a port channel"
        )
    module.exit_json(changed=state == "arm", **result)


if __name__ == "__main__":
    main()
