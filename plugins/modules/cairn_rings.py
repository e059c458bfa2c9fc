#!/usr/bin/python
"""Module: the object store's rings on one host; see the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_rings
short_description: Reads, computes and writes the rings of the object store
description:
  - A ring's builder file is state. Every controller has all builders, and the newest counts.
  - As an action it takes O(state). V(made) also takes C(rings) (of the inventory), C(known) (the
    hosts' state), C(lost) (devices) and C(share) (percentage of a weight's change at once).
    V(given) takes C(made), the result of that. Both take C(keep), a folder for copies on the
    control node.
options:
  state:
    description:
      - V(known) returns builders, rings and disks; V(made) computes rings and writes nothing;
        V(given) writes them.
    type: str
    choices: [known, made, given]
    required: true
  payload:
    description: The rings to compute or write, packed.
    type: str
    default: ""
author: [Cairn]
"""

EXAMPLES = r"""
- name: Read builders, rings and disks
  cairn_rings:
    state: known
  register: __swift_known
"""

RETURN = r"""
rings:
  description:
    - For V(known), ring to version; for V(made), ring to its lines, version, files and due time.
  returned: success
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, lock, wire
from ansible.module_utils.cairn_host.storage import ring_files


def made(payload: dict[str, Any]) -> dict[str, Any]:
    """Compute the rings, as plain data."""
    contents = {name: wire.decode(text) for name, text in payload["builders"].items()}
    computed = ring_files.make(
        Path(payload["venv"]), payload["rings"], contents, **payload["circumstances"]
    )
    return {
        "rings": {
            name: {
                "lines": ring.lines,
                "changed": ring.changed,
                "version": ring.version,
                "due": ring.due,
                "builder": wire.encode(ring.builder),
                "ring": wire.encode(ring.ring),
            }
            for name, ring in computed.items()
        },
        "changed": any(ring.changed for ring in computed.values()),
    }


def given(payload: dict[str, Any]) -> dict[str, Any]:
    """Write builders, rings and records; `done` names the files."""
    done = ring_files.give(
        {name: wire.decode(text) for name, text in payload["builders"].items()},
        {name: wire.decode(text) for name, text in payload["rings"].items()},
        payload["records"],
    )
    return {"done": done, "changed": bool(done)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["known", "made", "given"], "required": True},
            "payload": {"type": "str", "default": "", "no_log": False},
        },
        supports_check_mode=True,
    )
    payload = wire.unpack(module.params["payload"]) if module.params["payload"] else {}
    try:
        with errors.refusals():
            if module.params["state"] == "known":
                result = {"changed": False, **ring_files.read()}
            elif module.params["state"] == "made":
                result = made(payload)
            else:
                with lock.host_lock():
                    result = given(payload)
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
