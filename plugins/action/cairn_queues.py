"""Action: all services' queue users and virtual hosts; no call when they are as recorded."""

from __future__ import annotations

from typing import Any

from cairn.controller import CairnAction
from cairn.manifest import digest


class ActionModule(CairnAction):
    """`cairn_queues:` without arguments, once, on one controller."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Keep the tenants; `changes` tells what was done."""
        queues = self.model(task_vars).queues()
        wanted = digest(queues)
        state = self.host_state(task_vars)
        records = state.get("records", {})
        if not queues or records.get("queues") == wanted:
            return {"changed": False, "changes": []}
        if self.check_mode and not state.get("services", {}).get("rabbitmq", {}).get("current"):
            # A bare host has no server to ask yet.
            return {"changed": True, "changes": [f"user {q['user']}: make" for q in queues]}
        done = self.call("cairn_queues", {"queues": queues, "record": wanted}, task_vars)
        if not self.check_mode:
            self.remember(task_vars, records={**records, "queues": wanted})
        return done
