"""Action: sign a host's certificate with the site's authority if it must be replaced."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.base import CairnAction
from cairn.service.manifest import digest
from cairn.site import certificates

RECORD = "certificate"
DUE = "due-pki"
END = "certificate-end"


class ActionModule(CairnAction):
    """One call if nothing changes, otherwise two. The authority's key stays on the control node."""

    ARGUMENTS: ClassVar = {"subjects": None, "days": 397, "renew_days": 30, "identity": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Keep the certificate; `reason` says why it was replaced."""
        subjects = [str(subject) for subject in self.argument("subjects")]
        renew_days = int(self.argument("renew_days"))
        model = self.model(task_vars)
        authority = model.secret("ca_certificate")
        present = self.call(
            "cairn_certificate", {"step": "request", "authority": authority}, task_vars
        )
        reason: str | None = "it has no key yet"
        if present["request"]:
            reason = certificates.why_renew(
                present["certificate"],
                present["request"],
                subjects,
                authority,
                renew_days=renew_days,
            )
        old_records = self.host_state(task_vars).get("records", {})
        records = {RECORD: digest(str(self.argument("identity")))}
        if reason is None and present["complete"] and old_records.get(RECORD) == records[RECORD]:
            return {"changed": bool(present["changed"]), "reason": None}
        unfinished = "it was not recorded" if present["complete"] else "not all services use it"
        result = {"changed": True, "reason": reason or unfinished}
        if self.check_mode:
            return result
        arguments: dict[str, Any] = {"step": "install", "authority": authority}
        if reason:
            made = certificates.sign(
                present["request"],
                subjects,
                authority,
                model.secret("ca_key"),
                days=int(self.argument("days")),
            )
            arguments["certificate"] = made
            records[DUE] = certificates.due(made, renew_days)
            records[END] = certificates.due(made, 0)
        arguments["records"] = records
        done = self.call("cairn_certificate", arguments, task_vars)
        self.remember(task_vars, records={**old_records, **records})
        return {**done, **result}
