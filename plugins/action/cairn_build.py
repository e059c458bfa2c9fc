"""Action: build each virtualenv once, and keep it packed on the control node."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.archives import ArchivesAction


class ActionModule(ArchivesAction):
    """Without `share` it plans who builds what, for `services` or all; with it this host builds."""

    ARGUMENTS: ClassVar = {"share": None, "services": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Plan or build; `builders` is host to virtualenv to lock, `built` name to seconds."""
        share = self.argument("share")
        if share is None:
            builders = self.plan(self.argument("services"), task_vars)
            return {"changed": False, "builders": builders}
        return self.build(share, task_vars)
