"""Action: all services' queue users and virtual hosts; no call when they are as recorded."""

from __future__ import annotations

from typing import Any

from cairn.controller import DeclaringAction
from cairn.model import Model


class ActionModule(DeclaringAction):
    """`cairn_queues:` without arguments, once, on one controller."""

    RECORD, SERVICE = "queues", "rabbitmq"

    def declared(self, model: Model) -> dict[str, Any]:
        """Users with their virtual hosts."""
        found = model.queues()
        return {"queues": found} if found else {}

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """Every user is to be made."""
        return [f"user {entry['user']}: make" for entry in declared["queues"]]
