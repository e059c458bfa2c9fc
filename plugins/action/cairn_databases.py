"""Action: all services' databases, users and grants; no call when they are as recorded."""

from __future__ import annotations

from typing import Any

from netaddr import IPNetwork

from cairn.actions.declaring import DeclaringAction
from cairn.service.model import Model


class ActionModule(DeclaringAction):
    """`cairn_databases:` without arguments, once, on one controller."""

    RECORD, SERVICE = "databases", "mysql"

    def declared(self, model: Model) -> dict[str, Any]:
        """Databases; their users come from the management plane."""
        plane = IPNetwork(model.site["planes"]["management"]["cidr"])
        found = [
            {**entry, "hosts": [f"{plane.network}/{plane.netmask}"]} for entry in model.databases()
        ]
        return {"databases": found} if found else {}

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """Every database is to be made."""
        return [f"database {entry['name']}: make" for entry in declared["databases"]]
