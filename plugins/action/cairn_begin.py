"""Action: begin switches on a host that serves nothing yet, while the run goes on elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail

from cairn.actions.base import CairnAction


class ActionModule(CairnAction):
    """Asks the host only where a given service is staged and no generation of it is in force."""

    ARGUMENTS: ClassVar = {"services": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Begin; returns the services that are being switched."""
        asked = self.argument("services")
        if not asked:
            raise AnsibleActionFail("cairn_begin needs `services`")
        known = self.host_state(task_vars).get("services", {})
        model = self.model(task_vars)
        due = {
            role: manifest["id"]
            for role in asked
            if role in task_vars.get("cairn_stale", {}) and (manifest := model.manifest(role))
            if manifest["id"] in known.get(role, {}).get("staged", [])
            and not known[role].get("current")
        }
        if not due or self.check_mode:
            return {"changed": False, "begun": []}
        return self.call("cairn_begin", {"services": due}, task_vars)
