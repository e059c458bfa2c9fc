"""Action: call the module cairn_probe with the site's options, and time the call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from cairn.preflight.login import explain
from cairn.service.registry import descriptions, etc_folders, of_site
from cairn.site import host_names, proxies
from cairn.site.peers import neighbours

# Role to its variable with disks, whose contents are checked before anything is changed.
DISKS = {"swift": "swift_disks", "cinder": "cinder_volume_disks"}
DESCRIBED = descriptions()


def devices(variables: Mapping[str, Any], site: Mapping[str, Any]) -> list[str]:
    """Paths of the disks that the host's variables give to services of the site."""
    paths = []
    for role, name in DISKS.items():
        if role in site.get("services", []):
            disks = variables.get(name) or []
            paths += [str(d.get("device", "") if isinstance(d, Mapping) else d) for d in disks]
    return list(filter(None, dict.fromkeys(paths)))


class ActionModule(ActionBase):
    """With `required: false` a failed login is a result, which preflight turns into a finding."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module; adds `clock`, the control node's time before and after the call."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec({"required": {"type": "bool", "default": True}})
        site = task_vars["cairn_site"]
        variables = task_vars["hostvars"][task_vars["inventory_hostname"]]
        given = {name: variables[name] for name in proxies.VARIABLES if name in variables}
        index, proxy = proxies.asked_through(given, site)
        arguments = {
            "names": [n for n in site["names"].values() if not host_names.problem(n)],
            "etc": etc_folders(of_site(DESCRIBED, site)),
            "peers": neighbours(site, task_vars["inventory_hostname"]),
            "devices": devices(variables, site),
            "index": index,
            "index_proxy": proxy,
        }
        user = str(task_vars.get("ansible_user") or self._play_context.remote_user or "")
        before = time.time()
        try:
            answer: dict[str, Any] = self._execute_module(
                "cairn_probe", arguments, task_vars=task_vars
            )
        except AnsibleConnectionFailure as error:
            if explain({"msg": str(error)}, user) is None:
                raise  # the host is unreachable
            answer = {"failed": True, "msg": str(error)}
        except AnsibleError as error:
            answer = {"failed": True, "msg": str(error)}
        if answer.get("failed"):
            refusal = explain(answer, user)
            if refusal and options["required"]:
                answer["msg"] = "; ".join(refusal)
            if not options["required"]:
                answer["failed"] = False
        return result | answer | {"login": user, "clock": [before, time.time()]}
