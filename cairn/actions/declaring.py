"""Actions that keep in one system what all services declare there."""

from __future__ import annotations

from typing import Any, ClassVar

from ..service.manifest import digest
from ..service.model import Model
from .base import CairnAction


class DeclaringAction(CairnAction):
    """Keeps in one system what all services declare there; no call when it is as recorded.

    Subclasses say what is declared. The module has the action's name and takes `record`, which it
    notes on the host after success.
    """

    RECORD: ClassVar[str]
    SERVICE: ClassVar[str]  # the role that runs the system

    def declared(self, model: Model) -> dict[str, Any]:
        """What must be there, as arguments of the module; nothing to do when it is empty."""
        raise NotImplementedError

    def planned(self, declared: dict[str, Any]) -> list[str]:
        """The changes on a bare host, which has nobody to ask yet."""
        raise NotImplementedError

    def send(
        self, arguments: dict[str, Any], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Call the module."""
        return self.call(self._task.action, arguments, task_vars)

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Keep it; `changes` tells what was done."""
        model = self.model(task_vars)
        state = self.host_state(task_vars)
        declared = self.declared(model)
        wanted = digest(declared)
        records = state.get("records", {})
        if not declared or records.get(self.RECORD) == wanted:
            return {"changed": False, "changes": []}
        if self.check_mode and not state.get("services", {}).get(self.SERVICE, {}).get("current"):
            return {"changed": True, "changes": self.planned(declared)}
        done = self.send({**declared, "record": wanted}, model, task_vars)
        if not self.check_mode:
            self.remember(task_vars, records={**records, self.RECORD: wanted})
        return done
