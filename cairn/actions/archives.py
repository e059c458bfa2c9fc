"""Virtualenvs are built once, on one host, and kept packed on the control node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cairn_host.wire import pack

from ..errors import CairnError
from ..service import registry
from ..service.venv_cache import Archive, assign, folder, platform, prune
from .building import BuildingAction


class ArchivesAction(BuildingAction):
    """Plans which host builds which virtualenv, and has a host build its share."""

    def plan(
        self, roles: Sequence[str] | None, task_vars: Mapping[str, Any]
    ) -> dict[str, dict[str, str]]:
        """Distribute missing virtualenvs over the hosts of this play; makes no remote call.

        Considers `roles`, or all. Virtualenvs that the control node has packed are not built.
        Returns host to virtualenv to lock.
        """
        needs: dict[str, dict[str, int]] = {}
        platforms: dict[str, str] = {}
        locks: dict[str, str] = {}
        for host in task_vars["ansible_play_hosts"]:
            variables = task_vars["hostvars"][host]
            platforms[host] = platform(variables["cairn_host"])
            missing = {
                name: venv
                for name, venv in variables["cairn_venvs"].items()
                if venv["role"] in (roles or [venv["role"]])
                and not Archive.of(name, platforms[host]).exists()
            }
            needs[host] = {name: venv["cost"] for name, venv in missing.items()}
            locks |= {name: str(venv["lock"]) for name, venv in missing.items()}
        builders: dict[str, dict[str, str]] = {}
        for (name, _platform), host in assign(needs, platforms).items():
            builders.setdefault(host, {})[name] = locks[name]
        return builders

    def build(self, share: dict[str, str], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Build and pack the host's share, and fetch the archives; `built` is name to seconds."""
        if self.check_mode:
            return {"changed": True, "built": dict.fromkeys(share)}
        state = self.host_state(task_vars)
        model = self.model(task_vars)
        payload = {
            "locks": {name: model.lock(lock) for name, lock in share.items()},
            "namespaces": {
                name: registry.namespaces(registry.descriptions(), lock)
                for name, lock in share.items()
            },
            "builders": model.lock("build"),
            "keep": sorted(task_vars["cairn_venvs"]),
            "uv": self.transfer_uv(state),
            "environment": self.environment(task_vars),
        }
        done = self.call("cairn_build", {"payload": pack(payload)}, task_vars)
        folder().mkdir(parents=True, exist_ok=True)
        for name, archive in done.pop("archives", {}).items():
            self.keep(archive, Archive.of(name, platform(state)))
        prune()
        self.remember(task_vars, **done.pop("state", {}))
        return done

    def keep(self, archive: Mapping[str, str], target: Archive) -> None:
        """Fetch an archive from the host."""
        arriving = target.path.with_name(f".{target.path.name}.arriving")
        self.fetch(archive["path"], arriving)
        try:
            target.keep(arriving, archive["sha256"])
        except ValueError as error:
            raise CairnError(str(error)) from error
