"""Action: move a service's schema, once per code and once per cloud."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.module_utils.parsing.convert_bool import boolean

from cairn.actions.base import CairnAction
from cairn.service.model import contract_record, migration_record, migration_value


class ActionModule(CairnAction):
    """Asks the host only when its record says that this code has not moved the schema yet.

    What follows the switch takes the way back to an older release: after an upgrade of a service
    that runs it waits for the next run, or is asked for by the variable `contract`.
    """

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
        if phase == "after" and self.waits(role, state, task_vars):
            names = ", ".join(step["name"] for step in steps)
            text = (
                f"{role}: schema steps that take the way back ({names}) wait for the next run, so "
                f"that until then a rollback works; to do them now: -e contract=true"
            )
            return {"changed": False, "steps": [], "warnings": [text]}
        if self.check_mode:
            return {"changed": True, "steps": [{"step": s["name"]} for s in steps]}
        arguments = {
            "service": role,
            "generation": wanted["id"],
            "phase": phase,
            "record": name,
            "value": value,
            "databases": (model.part(role, "databases") or []) if phase == "before" else [],
            "release": wanted["release"] if phase == "after" else "",
        }
        done = self.call("cairn_migrate", arguments, task_vars)
        records = {name: value}
        if phase == "after":
            records[contract_record(role)] = wanted["release"]
        self.remember(task_vars, records={**state.get("records", {}), **records})
        return done

    def waits(self, role: str, state: dict[str, Any], task_vars: dict[str, Any]) -> bool:
        """Whether this run has upgraded the service to another release, and nobody asked for it."""
        asked = self._templar.template(task_vars.get("contract", False))
        return role in state.get("upgraded", []) and not boolean(asked)
