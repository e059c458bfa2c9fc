#!/usr/bin/python
"""Module: prove a cloud by an instance, one phase at a time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_verify
short_description: Prove a cloud by creating and reaching an instance
description:
  - Each phase goes on from where the one before it stopped; what it needs for that is in O(state),
    a file that only its owner can read.
  - What any run has made and not removed, for example because it was killed, is removed by the
    phases V(prepare) and V(clean).
options:
  phase:
    description:
      - V(prepare) makes a project with a user, image, network and floating IP, and waits until the
        services behind the APIs have reported.
      - V(boot) creates an instance as that user and waits until it is active.
      - V(reach) reaches it over its floating IP and its console.
      - V(networks) has the instance look its own name up, and gives it two further networks, in
        which the agent of its host must answer for metadata.
      - V(volumes) uses the volume that it was created with, if the cloud has volumes.
      - V(objects) stores and reads objects by swift's API and by S3's.
      - V(create_stack) asks for a stack with an instance, if the cloud has stacks; V(stack) waits
        until its instance answers, changes and deletes it.
      - V(pause) pauses the instance for a moment, so that there is an event to be heard.
      - V(meters) reads meters of what was made, in gnocchi and as heard on the message queue.
      - V(trace) follows the creation through its 24 steps and fails if one lacks evidence.
      - V(clean) removes everything.
    type: str
    choices:
      - prepare
      - boot
      - reach
      - networks
      - create_stack
      - volumes
      - objects
      - stack
      - pause
      - meters
      - trace
      - clean
    required: true
  config:
    description: The clouds.yaml with the administrator's cloud.
    type: path
    required: true
  cloud:
    description: Its name in O(config).
    type: str
    required: true
  state:
    description: File that holds the run between phases.
    type: path
    required: true
  report:
    description: JSON file for the times and steps, written by V(trace).
    type: path
  image:
    description: Raw disk of the test guest, for V(prepare).
    type: path
  services:
    description:
      - For V(prepare), the types that the catalog should have, each with the role whose service it
        is. What it lacks comes back as C(run.missing).
    type: dict
    default: {}
  external:
    description:
      - Where floating IPs come from, for V(prepare); physical_network, cidr, gateway, allocation
        and keep, the name of the network if it is to stay.
    type: dict
  problem:
    description: For V(trace), what made an earlier phase fail, if one did.
    type: str
    default: ""
  seconds:
    description:
      - How long V(boot) waits for the instance, V(reach) for a ping, V(prepare), V(volumes),
        V(stack) and V(pause) for each change of theirs, V(meters) for them.
    type: int
    default: 300
  heard:
    description: For V(meters), a line that ceilometer's listen.py printed.
    type: str
    default: ""
  event:
    description: For V(meters), a line that it printed with C(--events).
    type: str
    default: ""
  dispersion:
    description: For V(objects), what swift-dispersion-report printed.
    type: str
    default: ""
  location:
    description: For V(objects), the region that S3 requests are signed for.
    type: str
    default: us-east-1
  hosts:
    description: For V(trace), what M(cairn_verify_host) returned, by host.
    type: dict
    default: {}
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create an instance as a user
  cairn_verify:
    phase: boot
    config: /etc/cairn/clouds.yaml
    cloud: cairn
    state: /run/cairn/verify.json
"""

RETURN = r"""
lines:
  description: What happened, for people.
  returned: always
  type: list
  elements: str
run:
  description:
    - Ids, host and services of the run, what the catalog lacks (C(missing), in sentences), and
      where its traces are.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from cairn.verify import phases
    from cairn.verify.run import ProofError
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

# Of cairn.verify.phases, which may be missing.
PHASES = (
    *("prepare", "boot", "reach", "networks", "create_stack", "volumes", "objects", "stack"),
    *("pause", "meters", "trace", "clean"),
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "phase": {"type": "str", "choices": list(PHASES), "required": True},
            "config": {"type": "path", "required": True},
            "cloud": {"type": "str", "required": True},
            "state": {"type": "path", "required": True},
            "report": {"type": "path"},
            "image": {"type": "path"},
            "services": {"type": "dict", "default": {}},
            "external": {"type": "dict"},
            "problem": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 300},
            "heard": {"type": "str", "default": ""},
            "event": {"type": "str", "default": ""},
            "dispersion": {"type": "str", "default": ""},
            "location": {"type": "str", "default": "us-east-1"},
            "hosts": {"type": "dict", "default": {}},
        },
        required_if=[
            ("phase", "prepare", ("image", "external")),
            ("phase", "trace", ("report",)),
        ],
        supports_check_mode=False,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("openstacksdk"), exception=str(MISSING))
    try:
        result = phases.work(module.params)
    except ProofError as error:
        module.fail_json(msg=str(error), **phases.known(module.params))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
