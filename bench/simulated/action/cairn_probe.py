"""Stands in for `cairn_probe` in the simulation: answers as an unchanged host would.

The answers lie in the folder that CAIRN_SIMULATED names. With CAIRN_SIMULATED_RECORD set they are
made: exactly what the inventory asks for, as if a run had just brought it there.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from typing import Any

from cairn import PROJECT
from cairn.actions.base import CairnAction
from cairn.actions.declaring import DeclaringAction
from cairn.service.manifest import digest
from cairn.service.model import Model, migration_record, migration_value

GIB = 1024


def real() -> Any:
    """The action that is simulated; its arguments and its work on the control node are measured."""
    path = PROJECT / "plugins/action/cairn_probe.py"
    spec = importlib.util.spec_from_file_location("cairn_probe_real", path)
    assert spec is not None and spec.loader is not None  # noqa: S101 - for mypy
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ActionModule


class ActionModule(real()):  # type: ignore[misc]
    """The real action, but for its one remote call."""

    def _execute_module(
        self, module_name: str, module_args: Any, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the host's account of itself."""
        host = str(task_vars["inventory_hostname"])
        path = Path(os.environ["CAIRN_SIMULATED"]) / f"{host}.json"
        if os.environ.get("CAIRN_SIMULATED_RECORD"):
            known = {**task_vars, "cairn_host": {"cpus": 8, "cpu_flags": ["vmx"]}}
            path.write_text(json.dumps(self.account(CairnAction.model(self, known, host))))
        answer: dict[str, Any] = json.loads(path.read_text())
        return {**answer, "changed": False, "time": time.time()}

    def account(self, model: Model) -> dict[str, Any]:
        """What a host says on which everything is as it should be."""
        me = model.me
        manifests = model.manifests()
        records = {
            name: digest(value) for m in manifests.values() for name, value in m["records"].items()
        }
        for role, made in manifests.items():
            for step in made["migrations"]:
                records[migration_record(role, step["phase"])] = migration_value(made)
        if me["name"] == model.site["groups"]["controller"][0]:
            for name in ("cairn_databases", "cairn_queues", "cairn_catalog"):
                action = self._shared_loader_obj.action_loader.get(name, class_only=True)
                blank: DeclaringAction = object.__new__(action)
                records[action.RECORD] = digest(blank.declared(model))
        return {
            "os": {"id": "debian", "version": "13", "codename": "trixie"},
            "python": "3.13.5",
            "arch": "x86_64",
            "memory_mb": 64 * GIB,
            "cpus": 8,
            "cpu_flags": ["vmx"],
            "filesystems": {"/": {"size_mb": 100 * GIB, "free_mb": 80 * GIB}},
            "disks": {},
            "nics": {
                name: {
                    **{"mac": nic["mac"], "mtu": nic["mtu"], "max_mtu": 9216, "kind": ""},
                    **{"up": True, "link": True, "addresses": []},
                }
                for name, nic in me["nics"].items()
            },
            "listening": [],
            "folders": {},
            "network": {"hash": me["network"], "unconfirmed": False, "drift": []},
            "mirrors": {"http://mirror.example/debian": ""},
            "resolved": {},
            "peers": [],
            "dpkg_unfinished": False,
            "packages": sorted({name for m in manifests.values() for name in m["packages"]}),
            "venvs": sorted({m["venv"]["name"] for m in manifests.values() if m["venv"]}),
            "uv": [],
            "records": records,
            "services": {
                role: {
                    **{"current": made["id"], "previous": None, "staged": [made["id"]]},
                    "running": {unit["unit"]: unit["fingerprint"] for unit in made["units"]},
                    "drift": [],
                }
                for role, made in manifests.items()
            },
        }
