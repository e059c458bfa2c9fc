"""Action: take or release the lease under which a run changes the site."""

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

    The lease of an ended run of this machine is taken over, that of other runs only with the
    variable `cairn_take_over`.
    """

    ARGUMENTS: ClassVar = {"state": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Take or release it; returns `held`."""
        state = self.argument("state")
        if state not in ("held", "free"):
            raise AnsibleActionFail("cairn_lease needs `state`: held or free")
        if self.check_mode:
            return {"changed": False, "held": False}
        # Ansible runs each task in a child process of the run.
        mine = lease.holder(" ".join(context.CLIARGS.get("args") or ()), os.getppid())
        arguments = {"state": state, "holder": mine}
        done = self.call("cairn_lease", arguments, task_vars)
        other = done.get("other")
        if other:
            take_over = boolean(task_vars.get(lease.TAKE_OVER, False))
            if not take_over and not lease.has_ended(other, mine):
                raise CairnError(
                    f"{lease.sentence(other)}; nothing was touched by this run: {lease.REMEDY}"
                )
            done = self.call("cairn_lease", {**arguments, "replace": other["token"]}, task_vars)
            if done.get("other"):
                raise CairnError(f"{lease.sentence(done['other'])}: {lease.REMEDY}")
        return {"changed": False, "held": done["held"]}
