"""Action: move a service's schema, once per code and once per cloud."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.controller import CairnAction
from cairn.model import migration_record, migration_value


class ActionModule(CairnAction):
    """Asks the host only when its record says that this code has not moved the schema yet."""

    ARGUMENTS: ClassVar = {"service": None, "phase": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Migrate; returns the steps that were run."""
        role, phase = self.argument("service"), self.argument("phase")
        model = self.model(task_vars)
        wanted = model.manifest(role)
        steps = [s for s in (wanted or {}).get("migrations", []) if s["phase"] == phase]
        if wanted is None or not steps:
            return {"changed": False, "steps": []}
        name, value = migration_record(role, phase), migration_value(wanted)
        state = self.host_state(task_vars)
        if state.get("records", {}).get(name) == value:
            return {"changed": False, "steps": []}
        if self.check_mode:
            return {"changed": True, "steps": [{"step": s["name"]} for s in steps]}
        arguments = {
            "service": role,
            "generation": wanted["id"],
            "phase": phase,
            "record": name,
            "value": value,
            "databases": (model.part(role, "databases") or []) if phase == "before" else [],
        }
        done = self.call("cairn_migrate", arguments, task_vars)
        self.remember(task_vars, records={**state.get("records", {}), name: value})
        return done
