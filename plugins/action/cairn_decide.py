"""Action: decide, without a remote call, what is to be done on a host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from cairn.actions.base import CairnAction, preload
from cairn.actions.deciding import check_variables, missing_venvs
from cairn.preflight.partial import member
from cairn.service import manifest_cache
from cairn.service.model import due_records, stale

preload()


class ActionModule(CairnAction):
    """Compares the host's desired state with its probe; makes no remote call.

    Puts the host into the group `stale_<role>` for each stale service, and sets the variables
    `cairn_stale` (role to reasons), `cairn_venvs` (missing virtualenvs), `cairn_due_records`
    (records to renew), `cairn_manifests` (reused by later tasks) and `cairn_member` (from which
    `cairn_limit` judges a partial run).
    """

    ARGUMENTS: ClassVar = {"only": None}
    _requires_connection = False

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Decide; returns `stale`, role to reasons."""
        state = self.host_state(task_vars)
        model = self.model({**task_vars, "cairn_manifests": None})
        check_variables(model)
        reasons = stale(model, state)
        only = self.argument("only")
        if only:
            reasons = {role: why for role, why in reasons.items() if role in only}
        for role in reasons:
            self.add_group(f"stale_{role}", parent_group_names=["stale"])
        if state.get("services"):
            # Others rely on its services: plays process such hosts in batches.
            self.add_group("deployed", parent_group_names=["all"])
        venvs = missing_venvs(model, state, reasons)
        records = state.get("records", {})
        manifests = model.manifests()
        due = [name for role in reasons for name in due_records(manifests[role], records)]
        self.register_host_variables(
            {
                "cairn_stale": reasons,
                "cairn_venvs": venvs,
                "cairn_due_records": due,
                "cairn_manifests": manifest_cache.seal(manifests, reasons),
                "cairn_member": asdict(member(model, state, reasons)),
            }
        )
        return {"changed": False, "stale": reasons}
