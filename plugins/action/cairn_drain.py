"""Action: take a service's servers on a host out of a load balancer, or put them back."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.base import CairnAction


class ActionModule(CairnAction):
    """Asks the load balancer that the task is delegated to; not where nothing is to restart.

    Only what HAProxy takes requests for is drained: connections to a database last for hours.
    `generation` names the one that is switched to, by default what the inventory asks for.
    """

    ARGUMENTS: ClassVar = {"service": None, "state": None, "generation": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Drain or put back; nothing on a host that does not serve yet, or serves alone."""
        role, me = self.argument("service"), self.host_name(task_vars)
        known = self.host_state(task_vars).get("services", {}).get(role, {})
        model = self.model(task_vars)
        servers = [
            f"{end['name']}/{me}"
            for front in model.frontends(role)
            if front["mode"] == "http"
            for end in (front, front["static"])
            if end and len(end["servers"]) > 1 and me in {one["name"] for one in end["servers"]}
        ]
        nothing = {"changed": False, "drained": [], "left": 0}
        if self.check_mode or not servers or not known.get("current"):
            return nothing
        if self.argument("state") == "drain":
            wanted = self.argument("generation") or (model.manifest(role) or {}).get("id")
            if known.get("current") == wanted and not known.get("drift"):
                return nothing
        asked = {"servers": servers, "state": self.argument("state")}
        return self.call("cairn_drain", asked, task_vars)
