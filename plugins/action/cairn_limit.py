"""Action: refuse a run over a part of the site that would leave work unfinished."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.utils.display import Display

from cairn.actions.base import CairnAction
from cairn.errors import CairnError
from cairn.preflight import partial
from cairn.preflight.finding import ERROR
from cairn.preflight.report import table


class ActionModule(CairnAction):
    """Run once after `cairn_decide`; makes no remote call."""

    ARGUMENTS: ClassVar = {}
    _requires_connection = False

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show the findings; fail when one is an error. Returns `findings`."""
        site, hostvars = task_vars["cairn_site"], task_vars["hostvars"]
        run = {
            name: partial.Member(**hostvars[name]["cairn_member"])
            if "cairn_member" in hostvars[name]
            else partial.Member(site["hosts"][name]["groups"])
            for name in task_vars["ansible_play_hosts_all"]
            if name in site["hosts"]
        }
        groups = {name: host["groups"] for name, host in site["hosts"].items()}
        findings = partial.judge(groups, run, site["services"])
        if findings:
            Display().display("\n" + table(findings) + "\n")
        errors = [finding for finding in findings if finding.severity == ERROR]
        if errors:
            raise CairnError(
                f"{len(errors)} finding(s) above: --limit leaves out what this run needs; nothing "
                "was touched"
            )
        return {"changed": False, "findings": [finding.as_dict() for finding in findings]}
