"""Action: take the lease under which a run changes the site, or give it up."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean

from cairn.actions.base import CairnAction
from cairn.errors import CairnError
from cairn.site import lease


class ActionModule(CairnAction):
    """Delegated to one controller, run once; a plan takes no lease.

    The lease of a run of this machine whose process is gone is taken over; any other's only with
    the variable `cairn_take_over`.
    """

    ARGUMENTS: ClassVar = {"state": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Take or free it; returns `held`."""
        state = self.argument("state")
        if state not in ("held", "free"):
            raise AnsibleActionFail("cairn_lease needs `state`: held or free")
        if self.check_mode:
            return {"changed": False, "held": False}
        # Ansible runs each task in a process of its own, a child of the run's.
        mine = lease.holder(" ".join(context.CLIARGS.get("args") or ()), os.getppid())
        asked = {"state": state, "holder": mine}
        done = self.call("cairn_lease", asked, task_vars)
        other = done.get("other")
        if other:
            take_over = boolean(task_vars.get(lease.TAKE_OVER, False))
            if not take_over and not lease.has_ended(other, mine):
                raise CairnError(
                    f"{lease.sentence(other)}; nothing was touched by this run: {lease.REMEDY}"
                )
            done = self.call("cairn_lease", {**asked, "replace": other["token"]}, task_vars)
            if done.get("other"):
                raise CairnError(f"{lease.sentence(done['other'])}: {lease.REMEDY}")
        return {"changed": False, "held": done["held"]}
