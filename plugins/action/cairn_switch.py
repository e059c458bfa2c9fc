"""Action: switch a service to its staged generation, if that is not in force."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from cairn.actions.base import CairnAction
from cairn.service import registry
from cairn.site import precedence
from cairn_host.wire import pack

NOTHING: dict[str, Any] = {
    "changed": False,
    **{key: [] for key in ("restarted", "reloaded", "stopped", "removed", "mended")},
}


class ActionModule(CairnAction):
    """Calls the host only if it has another generation in force, or drift.

    In a plan the host computes what its switch would do, with the same code.
    """

    ARGUMENTS: ClassVar = {"service": None, "generation": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Switch; returns the units that were restarted, reloaded, stopped and removed."""
        role = self.argument("service")
        if not role:
            raise AnsibleActionFail("cairn_switch needs `service`")
        state = self.host_state(task_vars)
        present = state.get("services", {}).get(role, {})
        target = self.argument("generation")
        manifest = None
        if not target:
            manifest = self.model(task_vars).manifest(role)
            if manifest is None:
                return dict(NOTHING)
            target = manifest["id"]
        if present.get("current") == target and not present.get("drift"):
            return dict(NOTHING)
        if self.check_mode and state.get("planned", {}).get(role) == target:
            return dict(NOTHING)
        arguments = {"service": role, "generation": target, "rollback": manifest is None}
        if self.check_mode and manifest:
            arguments["manifest"] = pack(manifest)
        done = self.call("cairn_switch", arguments, task_vars)
        if done.get("diff") and self._task.diff:
            depths = {k: v for k, v in registry.merged().items() if k.startswith(f"{role}_")}
            if why := precedence.explained(task_vars, self.host_name(task_vars), depths):
                done["diff"].append({"prepared": why})
        news = done.pop("state", {})
        if self.check_mode:
            news = {"planned": {**state.get("planned", {}), role: target}}
        if manifest and self.upgrades(present, manifest["release"]):
            news["upgraded"] = sorted({*state.get("upgraded", []), role})
        self.remember_change(task_vars, news)
        return done

    @staticmethod
    def upgrades(present: dict[str, Any], release: str) -> bool:
        """Whether a running service changes to another release of OpenStack."""
        return bool(present.get("release")) and present["release"] != release
