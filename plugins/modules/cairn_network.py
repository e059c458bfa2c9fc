#!/usr/bin/python3
"""The host's side of a network change that reverts by itself unless confirmed."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.network import commit

DOCUMENTATION = r"""
module: cairn_network
short_description: Changes a host's network, to be confirmed or it reverts by itself
description:
  - C(applied) saves the old configuration, arms the timer that restores it and applies the units
    of C(cairn_site); a host that has them already is not called.
  - C(asked) asks every peer of every plane at full MTU until all answer or time runs short.
  - C(confirmed) keeps the change if every peer of every host of this play answered; else it
    restores the old configuration and fails with the peers that did not.
  - In check mode it says what C(applied) would change, in files, links and units, as a run says it
    of what it changed; C(confirmed) changes nothing more.
author: Cairn
options:
  state:
    description: The step; C(begin), C(status), C(confirm), C(revert) and C(read) are internal.
    type: str
    required: true
    choices: [applied, asked, confirmed, begin, status, confirm, revert, read]
  window:
    description:
      - Seconds until the old configuration comes back.
      - By default what the hosts of the play need, from their number, the forks and the time that
        the probe took.
    type: int
  keep:
    description: Patterns of foreign unit files in /etc/systemd/network to leave in place.
    type: list
    elements: str
    default: []
  excused:
    description: Hosts which need not answer.
    type: list
    elements: str
    default: []
  applied:
    description: What the step C(applied) returned.
    type: dict
  asked:
    description: Host name to what the step C(asked) returned, for every host of the play.
    type: dict
  request:
    description: Internal; what C(begin) is to make real.
    type: dict
"""

EXAMPLES = r"""
- name: Apply the units, armed to revert
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
  description: systemd-networkd, where it was not running (C(reloaded) where it was).
  returned: applied
  type: list
removed:
  description: Files that were put aside.
  returned: applied
  type: list
mended:
  description: What somebody had changed by hand, as sentences.
  returned: applied
  type: list
missing:
  description: Peers that should have answered but did not (C(asked)).
  returned: asked
  type: list
off:
  description: Hosts that answer on no plane and are taken to be off (C(asked)).
  returned: asked
  type: list
"""


def program() -> str:
    """The text of netcommit.py out of this module's archive."""
    source = commit.__loader__.get_source(commit.__name__)
    if not source:
        raise commit.NetworkError("the source of netcommit.py is not in the module")
    return str(source)


def main() -> None:
    """One internal step on the host."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "required": True,
                "choices": ["begin", "status", "confirm", "revert", "read"],
            },
            "request": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    trial = commit.Trial()
    state = module.params["state"]
    if module.check_mode and state not in ("status", "read"):
        module.fail_json(msg=f"{state} is not for check mode")
    try:
        if state == "begin":
            result = trial.begin(module.params["request"], program())
        elif state == "confirm":
            result = trial.confirm((module.params["request"] or {}).get("hash", ""))
        elif state == "revert":
            trial.revert_now()
            result = {}
        elif state == "read":
            result = trial.preview(module.params["request"])
        else:
            result = trial.status()
    except (commit.NetworkError, OSError) as error:
        module.fail_json(msg=str(error), busy=isinstance(error, commit.BusyError))
    for bond in result.pop("lonely_bonds", []):
        module.warn(
            f"{bond} has no LACP partner, so that one of its NICs carries everything: "
            "make a port channel of its ports on the switch"
        )
    module.exit_json(changed=state == "begin", **result)


if __name__ == "__main__":
    main()
