"""Fills in what `cairn_probe` asks and notes the clock around the call; see the module."""

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

# What may be on a disk is asked before anything is done to it: role to its variable.
DISKS = {"swift": "swift_disks", "cinder": "cinder_volume_disks"}
DESCRIBED = descriptions()


def devices(variables: Mapping[str, Any], site: Mapping[str, Any]) -> list[str]:
    """Paths of the disks that the host's variables give to services of the site."""
    found = []
    for role, name in DISKS.items():
        if role in site.get("services", []):
            disks = variables.get(name) or []
            found += [str(d.get("device", "") if isinstance(d, Mapping) else d) for d in disks]
    return list(filter(None, dict.fromkeys(found)))


class ActionModule(ActionBase):
    """`required: false` makes a refusal a result, from which preflight makes its finding."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module; add `clock`, the controller's time before and after the call."""
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
