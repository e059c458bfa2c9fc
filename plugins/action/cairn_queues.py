"""Action: queue users and virtual hosts of all services; no call if the record is current."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.declaring import DeclaringAction
from cairn.service.model import Model


class ActionModule(DeclaringAction):
    """`cairn_queues:` once, on one controller; `ask` is the command that evaluates Erlang."""

    ARGUMENTS: ClassVar = {"ask": "rabbitmqctl"}
    RECORD, SERVICE = "queues", "rabbitmq"

    def declared(self, model: Model) -> dict[str, Any]:
        """Users with their virtual hosts."""
        queues = model.queues()
        return {"queues": queues} if queues else {}

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """Every user would be created."""
        return [f"user {entry['user']}: create" for entry in declared["queues"]]

    def send(
        self, arguments: dict[str, Any], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the module with `ask`."""
        return super().send({**arguments, "ask": self.argument("ask").split()}, model, task_vars)
