"""Action: all services' queue users and virtual hosts; no call when they are as recorded."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.declaring import DeclaringAction
from cairn.service.model import Model


class ActionModule(DeclaringAction):
    """`cairn_queues:` once, on one controller; `ask` is what has its node evaluate Erlang."""

    ARGUMENTS: ClassVar = {"ask": "rabbitmqctl"}
    RECORD, SERVICE = "queues", "rabbitmq"

    def declared(self, model: Model) -> dict[str, Any]:
        """Users with their virtual hosts."""
        found = model.queues()
        return {"queues": found} if found else {}

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """Every user is to be made."""
        return [f"user {entry['user']}: make" for entry in declared["queues"]]

    def send(
        self, arguments: dict[str, Any], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the module, which is told whom to ask."""
        return super().send({**arguments, "ask": self.argument("ask").split()}, model, task_vars)
