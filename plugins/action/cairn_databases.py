"""Action: databases, users and grants of all services; no call if the record is current."""

from __future__ import annotations

from typing import Any

from netaddr import IPNetwork

from cairn.actions.declaring import DeclaringAction
from cairn.service.model import Model


class ActionModule(DeclaringAction):
    """`cairn_databases:` without arguments, once, on one controller."""

    RECORD, SERVICE = "databases", "mysql"

    def declared(self, model: Model) -> dict[str, Any]:
        """Databases; their users connect from the management plane."""
        plane = IPNetwork(model.site["planes"]["management"]["cidr"])
        hosts = [f"{plane.network}/{plane.netmask}"]
        databases = [{**entry, "hosts": hosts} for entry in model.databases()]
        return {"databases": databases} if databases else {}

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """Every database would be created."""
        return [f"database {entry['name']}: create" for entry in declared["databases"]]
