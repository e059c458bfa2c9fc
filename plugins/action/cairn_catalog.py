"""Action: declare all roles' services to keystone, when that is not done yet."""

from __future__ import annotations

from typing import Any

from cairn import paths
from cairn.controller import CairnAction
from cairn.manifest import digest
from cairn.oslo import CA_FILE, KEYSTONE_PORT, service_url


class ActionModule(CairnAction):
    """`cairn_catalog:` without arguments, once, on the first controller."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Keep the catalog; `changes` tells what was done."""
        model = self.model(task_vars)
        state = self.host_state(task_vars)
        wanted = {**model.catalog(), "admin_password": model.secret("keystone_admin")}
        record = digest(wanted)
        records = state.get("records", {})
        if records.get("catalog") == record:
            return {"changed": False, "changes": []}
        if self.check_mode and not state.get("services", {}).get("keystone", {}).get("current"):
            return {"changed": True, "changes": ["everything: keystone is not there yet"]}
        venv = paths.current("keystone") / "venv" / "bin"
        arguments = {
            **wanted,
            "auth_url": service_url(model.site, KEYSTONE_PORT, "/v3"),
            "ca_file": CA_FILE,
            "user": "keystone",
            "bootstrap": [
                str(venv / "keystone-manage"),
                "bootstrap",
                *("--bootstrap-username", "admin"),
                *("--bootstrap-project-name", "admin"),
                *("--bootstrap-role-name", "admin"),
                *("--bootstrap-region-id", wanted["region"]),
            ],
            "record": record,
        }
        # Keystone's own virtualenv has what speaks HTTP; the system's Python has not.
        python = {**task_vars, "ansible_python_interpreter": str(venv / "python")}
        done = self.call("cairn_catalog", arguments, python)
        if not self.check_mode:
            self.remember(task_vars, records={**records, "catalog": record})
        return done
