#!/usr/bin/python
"""Module: write generations of services beside the running ones."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_stage
short_description: Build and validate new generations beside the running ones
description:
  - Creates accounts, folders and virtualenvs, writes each service's configuration into a new
    generation and validates it with the new code. Running services are not touched.
  - As an action it takes C(services), by default all that are stale, and C(only=packages), to
    install only their Debian packages. It decides what has to be staged, and packs it.
  - A plan calls no host; M(cairn_switch) shows what a new generation changes.
options:
  payload:
    description: Manifests, sources of virtualenvs and the path of uv, packed; never logged.
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
  description: Steps of staging, by service.
  type: dict
  returned: always
"""

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import accounts, errors, files, lock, paths, wire
from ansible.module_utils.cairn_host.probe.generations import read_change
from ansible.module_utils.cairn_host.service import staging, virtualenv


def make_venv(name: str, payload: dict[str, Any]) -> bool:
    """Unpack or build the virtualenv; True if it was created now."""
    source = payload["venvs"].get(name)
    if source is None:
        return False
    if "archive" in source:
        made = virtualenv.unpack(name, Path(source["archive"]), source["sha256"])
    else:
        uv = virtualenv.place_uv(payload["uv"])
        environment = payload["environment"]
        made = virtualenv.build(name, source["lock"], payload["builders"], uv, environment)
    return bool(made)


def stage_all(payload: dict[str, Any], result: dict[str, Any]) -> None:
    """Stage every service of the payload; adds to `result` after each."""
    with lock.host_lock():
        shutil.rmtree(paths.ARCHIVES, ignore_errors=True)  # the control node has fetched them
        for manifest in payload["manifests"]:
            done = accounts.ensure_account(manifest["user"])
            for entry in manifest["directories"]:
                done += files.ensure_directory(entry)
            if venv := manifest["venv"]:
                if make_venv(venv["name"], payload):
                    done.append(f"virtualenv {venv['name']}")
                virtualenv.link_distro_modules(venv["name"], venv["distro_modules"])
            if staging.stage(manifest):
                done.append(f"generation {manifest['id']}")
            if done:
                result["changed"] = True
                result["staged"][manifest["role"]] = done


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"payload": {"type": "str", "required": True, "no_log": True}},
        supports_check_mode=False,
    )
    payload = wire.unpack(module.params["payload"])
    result: dict[str, Any] = {"changed": False, "staged": {}}
    try:
        stage_all(payload, result)
    except errors.HostError as error:
        module.fail_json(msg=str(error), **result)
    state = read_change([manifest["role"] for manifest in payload["manifests"]])
    module.exit_json(state=state, **result)


if __name__ == "__main__":
    main()
