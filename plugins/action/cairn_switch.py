"""Action: switch a service to its staged generation, where that is not in force yet."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from cairn.controller import CairnAction


class ActionModule(CairnAction):
    """Asks the host only when the switch, or a restart that it lacks, is due."""

    ARGUMENTS: ClassVar = {"service": None, "generation": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Switch; returns the units that were restarted."""
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
                return {"changed": False, "restarted": []}
            asked = wanted["id"]
        if known.get("current") == asked and not known.get("drift"):
            return {"changed": False, "restarted": []}
        if self.check_mode:
            running = known.get("running", {})
            due = [
                unit["unit"]
                for unit in (wanted or {"units": []})["units"]
                if unit["state"] == "started" and running.get(unit["unit"]) != unit["fingerprint"]
            ]
            return {
                "changed": True,
                "service": role,
                "from": known.get("current"),
                "to": asked,
                "restarted": due,
            }
        done = self.call("cairn_switch", {"service": role, "generation": asked}, task_vars)
        self.remember_change(task_vars, done.pop("state", {}))
        return done
