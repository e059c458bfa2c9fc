"""Action: stage generations; at most two calls per host."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.staging import StagingAction


class ActionModule(StagingAction):
    """Stages the given services, by default all that are stale.

    With `only: packages` it installs their Debian packages and returns.
    """

    ARGUMENTS: ClassVar = {"services": None, "only": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Stage; returns the steps by service."""
        roles = self.argument("services") or sorted(task_vars.get("cairn_stale", {}))
        return self.stage(roles, self.argument("only"), task_vars)
