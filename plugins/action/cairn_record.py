"""Action: keep a small fact on the host, when it is not there yet."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.base import CairnAction
from cairn.service.manifest import digest


class ActionModule(CairnAction):
    """Records the hash of `value` under `name`; no call when the host has it already."""

    ARGUMENTS: ClassVar = {"name": None, "value": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Record; changed when the host had another value."""
        name, value = self.argument("name"), digest(str(self.argument("value")))
        records = self.host_state(task_vars).get("records", {})
        if records.get(name) == value:
            return {"changed": False}
        if self.check_mode:
            return {"changed": True}
        done = self.call("cairn_record", {"name": name, "value": value}, task_vars)
        self.remember(task_vars, records={**records, name: value})
        return done
