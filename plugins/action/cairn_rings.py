"""Action: the object store's rings, from the builders of all hosts to the rings of each host."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.rings import RingsAction


class ActionModule(RingsAction):
    """`state: known`, `made` and `given`, one after the other."""

    ARGUMENTS: ClassVar = {
        "state": None,
        "rings": None,
        "known": None,
        "lost": (),
        "share": 100,
        "keep": None,
        "made": None,
    }

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run one step."""
        if self.argument("state") == "known":
            return self.call("cairn_rings", {"state": "known"}, task_vars)
        if self.argument("state") == "made":
            return self.made(task_vars)
        return self.given(task_vars)
