"""Action: run every preflight check on the inventory and the probes; see the module's text."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from cairn.preflight.finding import ERROR
from cairn.preflight.gather import all_findings
from cairn.preflight.report import table


class ActionModule(ActionBase):
    """`cairn_preflight:` without arguments, run once."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Show the table of findings; fail if one is an error."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        given = load_extra_vars(self._loader)
        findings = all_findings(task_vars, self._templar.template, given)
        errors = [finding for finding in findings if finding.severity == ERROR]
        if findings:
            Display().display("\n" + table(findings) + "\n")
        if errors:
            raise AnsibleActionFail(
                f"{len(errors)} finding(s) above must be fixed first; nothing was touched"
            )
        return result | {
            "changed": False,
            "findings": [finding.as_dict() for finding in findings],
            "left_out": [one.host for one in findings if one.check == "reachable"],
        }
