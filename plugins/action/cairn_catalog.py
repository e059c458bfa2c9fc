"""Action: declare all roles' services in keystone; no call if the record is current."""

from __future__ import annotations

from typing import Any

from cairn.actions.declaring import DeclaringAction
from cairn.service.model import Model
from cairn.service.oslo import CA_FILE, KEYSTONE_PORT, service_url
from cairn_host import paths


class ActionModule(DeclaringAction):
    """`cairn_catalog:` without arguments, once, on the first controller."""

    RECORD, SERVICE = "catalog", "keystone"

    def declared(self, model: Model) -> dict[str, Any]:
        """Services, endpoints and service users, and the administrator who declares them."""
        return {**model.catalog(), "admin_password": model.secret("keystone_admin")}

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """Everything would be declared."""
        return ["everything: keystone does not run yet"]

    def send(
        self, arguments: dict[str, Any], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the module with keystone's own Python, which has `requests`."""
        venv = paths.current("keystone") / "venv" / "bin"
        more = {
            "auth_url": service_url(model.site, KEYSTONE_PORT, "/v3"),
            "ca_file": CA_FILE,
            "user": "keystone",
            "bootstrap": [
                str(venv / "keystone-manage"),
                "bootstrap",
                *("--bootstrap-username", "admin"),
                *("--bootstrap-project-name", "admin"),
                *("--bootstrap-role-name", "admin"),
                *("--bootstrap-region-id", arguments["region"]),
            ],
        }
        python = {**task_vars, "ansible_python_interpreter": str(venv / "python")}
        return super().send({**arguments, **more}, model, python)
