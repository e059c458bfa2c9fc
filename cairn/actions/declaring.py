"""The base of actions that reconcile a system with what all services declare in it."""

from __future__ import annotations

from typing import Any, ClassVar

from ..service.manifest import digest
from ..service.model import Model
from .base import CairnAction


class DeclaringAction(CairnAction):
    """Reconciles a system with the services' declarations; no call if the record is current.

    Subclasses return the declarations. The module has the action's name and an option `record`,
    whose value it records on the host on success.
    """

    RECORD: ClassVar[str]
    SERVICE: ClassVar[str]  # the role that runs the system

    def declared(self, model: Model) -> dict[str, Any]:
        """The declarations, as arguments of the module; empty if there are none."""
        raise NotImplementedError

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """The changes on a bare host, where the system does not run yet."""
        raise NotImplementedError

    def send(
        self, arguments: dict[str, Any], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the module."""
        return self.call(self._task.action, arguments, task_vars)

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Reconcile; `changes` lists what was done."""
        model = self.model(task_vars)
        state = self.host_state(task_vars)
        declared = self.declared(model)
        value = digest(declared)
        records = state.get("records", {})
        if not declared or records.get(self.RECORD) == value:
            return {"changed": False, "changes": []}
        if self.check_mode and not state.get("services", {}).get(self.SERVICE, {}).get("current"):
            return {"changed": True, "changes": self.planned(declared)}
        done = self.send({**declared, "record": value}, model, task_vars)
        if not self.check_mode:
            self.remember(task_vars, records={**records, self.RECORD: value})
        return done
