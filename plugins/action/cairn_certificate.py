"""Action: give a host a certificate of the site's authority, when the one it has will not do."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.base import CairnAction
from cairn.service.manifest import digest
from cairn.site import certificates

RECORD = "certificate"
DUE = "due-pki"
END = "certificate-end"


class ActionModule(CairnAction):
    """One call when nothing is to be done, two otherwise. The authority's key stays here."""

    ARGUMENTS: ClassVar = {"subjects": None, "days": 397, "renew_days": 30, "identity": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Keep the certificate; `reason` says why there is a new one."""
        subjects = [str(subject) for subject in self.argument("subjects")]
        renew_days = int(self.argument("renew_days"))
        model = self.model(task_vars)
        authority = model.secret("ca_certificate")
        found = self.call(
            "cairn_certificate", {"step": "request", "authority": authority}, task_vars
        )
        reason: str | None = "it has no key yet"
        if found["request"]:
            reason = certificates.why_renew(
                found["certificate"],
                found["request"],
                subjects,
                authority,
                renew_days=renew_days,
            )
        known = self.host_state(task_vars).get("records", {})
        records = {RECORD: digest(str(self.argument("identity")))}
        if reason is None and found["complete"] and known.get(RECORD) == records[RECORD]:
            return {"changed": bool(found["changed"]), "reason": None}
        unfinished = "it was not recorded" if found["complete"] else "not all services use it"
        result = {"changed": True, "reason": reason or unfinished}
        if self.check_mode:
            return result
        arguments: dict[str, Any] = {"step": "install", "authority": authority}
        if reason:
            made = certificates.sign(
                found["request"],
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
        self.remember(task_vars, records={**known, **records})
        return {**done, **result}
