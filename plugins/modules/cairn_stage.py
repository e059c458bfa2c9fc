#!/usr/bin/python
"""Module: write generations of services beside the running ones."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_stage
short_description: Build and validate new generations beside the running ones
description:
  - Makes accounts, folders and virtualenvs, writes each service's configuration into a new
    generation and lets the new code validate it. Nothing that runs is touched.
  - Called by the action plugin of the same name, which decides what is to be staged.
options:
  payload:
    description: Manifests, lock texts and uv's place, packed; never logged.
    type: str
    required: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Stage the generation of glance
  cairn_stage:
    services: [glance]
"""

RETURN = r"""
staged:
  description: Generation that was staged, by service.
  type: dict
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn import hostwork, paths
from ansible.module_utils.cairn.hoststate import read_state


def place_uv(uv: dict[str, str]) -> Path:
    """Move the transferred uv into its place; the path to run."""
    target = Path(paths.UV / uv["version"] / "uv")
    if not target.exists():
        hostwork.write_atomic(target, Path(uv["transferred"]).read_bytes(), 0o755, "root", "root")
    return target


def stage_all(payload: dict[str, Any], result: dict[str, Any]) -> None:
    """Stage every service of the payload; fills `result` as it goes."""
    with hostwork.host_lock():
        uv = place_uv(payload["uv"]) if payload["uv"] else paths.UV
        for manifest in payload["manifests"]:
            done = hostwork.ensure_account(manifest["user"])
            for entry in manifest["directories"]:
                done += hostwork.ensure_directory(entry)
            venv = manifest["venv"]
            if venv and hostwork.make_venv(venv, payload["locks"], uv, payload["environment"]):
                done.append(f"virtualenv {venv['name']}")
            if hostwork.stage(manifest):
                done.append(f"generation {manifest['id']}")
            if done:
                result["changed"] = True
                result["staged"][manifest["role"]] = done


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"payload": {"type": "str", "required": True, "no_log": True}},
        supports_check_mode=True,
    )
    payload = hostwork.unpack(module.params["payload"])
    result: dict[str, Any] = {"changed": False, "staged": {}, "diff": []}
    for manifest in payload["manifests"]:
        result["diff"] += hostwork.show_difference(manifest)
    if module.check_mode:
        result["changed"] = True
        result["staged"] = {m["role"]: [f"generation {m['id']}"] for m in payload["manifests"]}
        module.exit_json(**result)
    try:
        stage_all(payload, result)
    except hostwork.HostError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(state=read_state(), **result)


if __name__ == "__main__":
    main()
