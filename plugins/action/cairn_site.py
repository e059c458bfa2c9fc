"""Action: compute `cairn_site` from the inventory; see the module's text."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from cairn.errors import CairnError
from cairn.site import fact


class ActionModule(ActionBase):
    """`cairn_site:` without arguments; makes no remote call."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the fact, or fail with all problems."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        try:
            _, site = fact.read(task_vars)
        except CairnError as error:
            raise AnsibleActionFail(str(error)) from error
        return result | {"changed": False} | site
