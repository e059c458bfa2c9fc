#!/usr/bin/python
"""Module: write generations of services beside the running ones."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_stage
short_description: Build and validate new generations beside the running ones
description:
  - Makes accounts, folders and virtualenvs, writes each service's configuration into a new
    generation and lets the new code validate it. Nothing that runs is touched.
  - As an action it takes C(services), by default all that are stale, or C(only=packages) to install
    their Debian packages and stop there, decides what is to be staged, and packs it.
  - A plan asks no host; what a new generation changes is told by M(cairn_switch).
options:
  payload:
    description: Manifests, sources of virtualenvs and uv's place, packed; never logged.
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

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import accounts, errors, files, lock, paths, wire
from ansible.module_utils.cairn_host.probe.generations import read_change
from ansible.module_utils.cairn_host.service import staging, virtualenv


def make_venv(name: str, payload: dict[str, Any]) -> bool:
    """Unpack the virtualenv or, where nobody has built it yet, build it; True when made now."""
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
    """Stage every service of the payload; fills `result` as it goes."""
    with lock.host_lock():
        shutil.rmtree(paths.ARCHIVES, ignore_errors=True)  # the controller has them by now
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
