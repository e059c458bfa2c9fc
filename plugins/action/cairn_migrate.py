"""Action: migrate a service's schema, once per cloud and version of the code."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.module_utils.parsing.convert_bool import boolean

from cairn.actions.base import CairnAction
from cairn.service.model import contract_record, migration_record, migration_value


class ActionModule(CairnAction):
    """Calls the host only if its record shows that this code has not migrated the schema yet.

    Steps after the switch make a rollback to an older release impossible: after an upgrade they
    wait for the next run, or run with the variable `contract`.
    """

    ARGUMENTS: ClassVar = {"service": None, "phase": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Migrate; returns the steps that were run."""
        role, phase = self.argument("service"), self.argument("phase")
        model = self.model(task_vars)
        manifest = model.manifest(role)
        steps = [s for s in (manifest or {}).get("migrations", []) if s["phase"] == phase]
        if manifest is None or not steps:
            return {"changed": False, "steps": []}
        name, value = migration_record(role, phase), migration_value(manifest)
        state = self.host_state(task_vars)
        if state.get("records", {}).get(name) == value:
            return {"changed": False, "steps": []}
        if phase == "after" and self.waits(role, state, task_vars):
            names = ", ".join(step["name"] for step in steps)
            text = (
                f"{role}: schema steps after which no rollback is possible ({names}) wait for the "
                f"next run; to run them now: -e contract=true"
            )
            return {"changed": False, "steps": [], "warnings": [text]}
        if self.check_mode:
            return {"changed": True, "steps": [{"step": s["name"]} for s in steps]}
        arguments = {
            "service": role,
            "generation": manifest["id"],
            "phase": phase,
            "record": name,
            "value": value,
            "databases": (model.part(role, "databases") or []) if phase == "before" else [],
            "release": manifest["release"] if phase == "after" else "",
        }
        done = self.call("cairn_migrate", arguments, task_vars)
        records = {name: value}
        if phase == "after":
            records[contract_record(role)] = manifest["release"]
        self.remember(task_vars, records={**state.get("records", {}), **records})
        return done

    def waits(self, role: str, state: dict[str, Any], task_vars: dict[str, Any]) -> bool:
        """Whether this run has upgraded the service to another release, without `contract`."""
        contract = self._templar.template(task_vars.get("contract", False))
        return role in state.get("upgraded", []) and not boolean(contract)
