"""Action: the steps of commit-confirm; see the module's text."""

from __future__ import annotations

from typing import Any

from cairn.actions.network import NetworkAction


class ActionModule(NetworkAction):
    """`state: applied`, `asked` and `confirmed`, one after the other."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Run one step."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "state": {"required": True, "choices": ["applied", "asked", "confirmed"]},
                "window": {"type": "int"},
                "keep": {"type": "list", "elements": "str", "default": []},
                "excused": {"type": "list", "elements": "str", "default": []},
                "applied": {"type": "dict"},
                "asked": {"type": "dict"},
            }
        )
        return result | self.step(arguments, task_vars)
