"""Action: stage generations; at most two calls a host (packages, then everything else)."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from cairn.controller import CairnAction
from cairn.errors import CairnError
from cairn.hostwork import pack
from cairn.manifest import Manifest

UV = Path(sys.executable).with_name("uv")


@functools.cache
def uv_version() -> str:
    """The version of the controller's uv, which is what hosts get."""
    if not UV.exists():
        raise CairnError(f"{UV} is missing; the controller's tools are set up by: make setup")
    return subprocess.run(
        [str(UV), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]


class ActionModule(CairnAction):
    """Stages what is not staged yet of the given services (all that are stale by default).

    With `only: packages` it installs their Debian packages and stops there: one call for all
    services of a host is much quicker than one for each.
    """

    ARGUMENTS: ClassVar = {"services": None, "only": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Stage; returns what was staged, by service."""
        state = self.host_state(task_vars)
        model = self.model(task_vars)
        wanted = self.argument("services") or sorted(task_vars.get("cairn_stale", {}))
        manifests = [m for role in wanted if (m := model.manifest(role))]
        missing = [m for m in manifests if not self.is_staged(m, state)]
        if not missing:
            return {"changed": False, "staged": {}}
        installed = self.install_packages(missing, task_vars)
        if self.argument("only") == "packages":
            return {"changed": bool(installed), "installed": installed}
        locks = {
            m["venv"]["name"]: model.lock(m["venv"]["lock"])
            for m in missing
            if m["venv"] and m["venv"]["name"] not in state.get("venvs", [])
        }
        if locks:
            locks["build"] = model.lock("build")
        payload = {
            "manifests": missing,
            "locks": locks,
            "uv": self.transfer_uv(state) if locks else None,
            "environment": self.mirror(task_vars),
        }
        done = self.call("cairn_stage", {"payload": pack(payload)}, task_vars)
        self.remember(task_vars, **done.pop("state", {}))
        return done

    @staticmethod
    def is_staged(manifest: Manifest, state: dict[str, Any]) -> bool:
        """Whether the host has this generation whole, with nothing of it missing."""
        service = state.get("services", {}).get(manifest["role"], {})
        if manifest["id"] not in service.get("staged", []):
            return False
        if manifest["venv"] and manifest["venv"]["name"] not in state.get("venvs", []):
            return False
        spoilt = ("is damaged", "is not installed", "is missing")
        return not any(text.endswith(spoilt) for text in service.get("drift", []))

    def install_packages(self, manifests: list[Manifest], task_vars: dict[str, Any]) -> list[str]:
        """Install what is missing of the services' packages; their daemons do not start."""
        state = self.host_state(task_vars)
        known = set(state.get("packages", []))
        packages = sorted({name for m in manifests for name in m["packages"]} - known)
        if not packages:
            return []
        if state.get("dpkg_unfinished") and not self.check_mode:
            command = "dpkg --force-confold --configure -a"
            self.call("ansible.legacy.command", {"_raw_params": command}, task_vars)
        arguments = {
            "name": packages,
            "state": "present",
            "install_recommends": False,
            "policy_rc_d": 101,
            "update_cache": True,
            "lock_timeout": 300,
        }
        self.call("ansible.legacy.apt", arguments, task_vars)
        self.remember(task_vars, packages=sorted(known | set(packages)))
        return packages

    def transfer_uv(self, state: dict[str, Any]) -> dict[str, str]:
        """Bring the controller's uv to a host that has not got this version."""
        version = uv_version()
        transferred = ""
        if version not in state.get("uv", []) and not self.check_mode:
            # Ansible's own folder for this task: closed to other users, and removed after it.
            folder = self._connection._shell.tmpdir or self._make_tmp_path()
            self.remote_calls += 2
            transferred = self._connection._shell.join_path(folder, "uv")
            self._transfer_file(str(UV), transferred)
        return {"version": version, "transferred": transferred}

    @staticmethod
    def mirror(task_vars: dict[str, Any]) -> dict[str, str]:
        """Environment that sends uv to the site's own package index, where it has one."""
        index = task_vars.get("cairn_pypi_index")
        return {"UV_DEFAULT_INDEX": str(index)} if index else {}
