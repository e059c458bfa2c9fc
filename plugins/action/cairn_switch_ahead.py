"""Action: switch services in the background on a host that runs none of them yet."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from cairn.actions.base import CairnAction


class ActionModule(CairnAction):
    """Calls the host only if a service is staged there and has no generation in force."""

    ARGUMENTS: ClassVar = {"services": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Start the switches; returns the services that are being switched."""
        services = self.argument("services")
        if not services:
            raise AnsibleActionFail("cairn_switch_ahead needs `services`")
        states = self.host_state(task_vars).get("services", {})
        model = self.model(task_vars)
        due = {
            role: manifest["id"]
            for role in services
            if role in task_vars.get("cairn_stale", {}) and (manifest := model.manifest(role))
            if manifest["id"] in states.get(role, {}).get("staged", [])
            and not states[role].get("current")
        }
        if not due or self.check_mode:
            return {"changed": False, "switching": []}
        return self.call("cairn_switch_ahead", {"services": due}, task_vars)
