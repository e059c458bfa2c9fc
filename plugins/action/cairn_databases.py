"""Action: all services' databases, users and grants; no call when they are as recorded."""

from __future__ import annotations

import ipaddress
from typing import Any

from cairn.controller import CairnAction
from cairn.manifest import digest


class ActionModule(CairnAction):
    """`cairn_databases:` without arguments, once, on one controller."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Keep the databases; `changes` tells what was done."""
        model = self.model(task_vars)
        plane = ipaddress.ip_network(model.site["planes"]["management"]["cidr"])
        hosts = [plane.with_netmask]
        databases = [{**entry, "hosts": hosts} for entry in model.databases()]
        wanted = digest(databases)
        state = self.host_state(task_vars)
        records = state.get("records", {})
        if not databases or records.get("databases") == wanted:
            return {"changed": False, "changes": []}
        if self.check_mode and not state.get("services", {}).get("mysql", {}).get("current"):
            # A bare host has no server to ask yet.
            return {"changed": True, "changes": [f"database {d['name']}: make" for d in databases]}
        done = self.call("cairn_databases", {"databases": databases, "record": wanted}, task_vars)
        if not self.check_mode:
            self.remember(task_vars, records={**records, "databases": wanted})
        return done
