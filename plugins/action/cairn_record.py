"""Action: write a record on the host if it differs."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.base import CairnAction
from cairn.service.manifest import digest


class ActionModule(CairnAction):
    """Records the hash of `value` under `name`; no call if the host has it."""

    ARGUMENTS: ClassVar = {"name": None, "value": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the record; changed if the host had another value."""
        name, value = self.argument("name"), digest(str(self.argument("value")))
        records = self.host_state(task_vars).get("records", {})
        if records.get(name) == value:
            return {"changed": False}
        if self.check_mode:
            return {"changed": True}
        done = self.call("cairn_record", {"name": name, "value": value}, task_vars)
        self.remember(task_vars, records={**records, name: value})
        return done
