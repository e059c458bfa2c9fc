"""Action: switch a service to its staged generation, where that is not in force yet."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from cairn.actions.base import CairnAction
from cairn.service import registry
from cairn.site import layers
from cairn_host.wire import pack

NOTHING: dict[str, Any] = {
    "changed": False,
    **{key: [] for key in ("restarted", "reloaded", "stopped", "removed", "mended")},
}


class ActionModule(CairnAction):
    """Asks the host only when the switch, or something that it lacks of it, is due.

    In a plan the host tells what its switch would do, by the code that would do it.
    """

    ARGUMENTS: ClassVar = {"service": None, "generation": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Switch; returns the units that were restarted, reloaded, stopped and removed."""
        role = self.argument("service")
        if not role:
            raise AnsibleActionFail("cairn_switch needs `service`")
        state = self.host_state(task_vars)
        known = state.get("services", {}).get(role, {})
        asked = self.argument("generation")
        wanted = None
        if not asked:
            wanted = self.model(task_vars).manifest(role)
            if wanted is None:
                return dict(NOTHING)
            asked = wanted["id"]
        if known.get("current") == asked and not known.get("drift"):
            return dict(NOTHING)
        if self.check_mode and state.get("planned", {}).get(role) == asked:
            return dict(NOTHING)
        arguments = {"service": role, "generation": asked, "rollback": wanted is None}
        if self.check_mode and wanted:
            arguments["manifest"] = pack(wanted)
        done = self.call("cairn_switch", arguments, task_vars)
        if done.get("diff") and self._task.diff:
            depths = {k: v for k, v in registry.merged().items() if k.startswith(f"{role}_")}
            if why := layers.explained(task_vars, self.host_name(task_vars), depths):
                done["diff"].append({"prepared": why})
        news = done.pop("state", {})
        if self.check_mode:
            news = {"planned": {**state.get("planned", {}), role: asked}}
        if wanted and self.upgrades(known, wanted["release"]):
            news["upgraded"] = sorted({*state.get("upgraded", []), role})
        self.remember_change(task_vars, news)
        return done

    @staticmethod
    def upgrades(known: dict[str, Any], release: str) -> bool:
        """Whether a service that runs goes to another release of OpenStack."""
        return bool(known.get("release")) and known["release"] != release
