"""Action: drain a service's servers on a host in a load balancer, or restore them."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.base import CairnAction


class ActionModule(CairnAction):
    """Calls the load balancer to which the task is delegated, if a unit will restart.

    Only HTTP servers are drained: connections to databases last for hours. `generation` is the
    target of the switch, by default the generation of the inventory.
    """

    ARGUMENTS: ClassVar = {"service": None, "state": None, "generation": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Drain or restore; nothing if the host does not serve yet, or is the only server."""
        role, me = self.argument("service"), self.host_name(task_vars)
        present = self.host_state(task_vars).get("services", {}).get(role, {})
        model = self.model(task_vars)
        servers = [
            f"{end['name']}/{me}"
            for front in model.frontends(role)
            if front["mode"] == "http"
            for end in (front, front["static"])
            if end and len(end["servers"]) > 1 and me in {one["name"] for one in end["servers"]}
        ]
        nothing = {"changed": False, "drained": [], "left": 0}
        if self.check_mode or not servers or not present.get("current"):
            return nothing
        if self.argument("state") == "drain":
            target = self.argument("generation") or (model.manifest(role) or {}).get("id")
            if present.get("current") == target and not present.get("drift"):
                return nothing
        arguments = {"servers": servers, "state": self.argument("state")}
        return self.call("cairn_drain", arguments, task_vars)
