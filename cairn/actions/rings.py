"""The object store's rings: from the builders of all hosts to the rings that each host gets.

`made` runs on one controller: it takes the newest builders of all hosts and computes new rings with
swift's code, without writing anything. `given` writes these rings to one host.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cairn_host import paths
from cairn_host.storage import rings
from cairn_host.storage.rings import builder_version
from cairn_host.wire import decode, encode, pack

from ..errors import CairnError
from ..service.manifest import digest
from .base import CairnAction

RECORD, DUE = "swift-rings", "due-swift"


class RingsAction(CairnAction):
    """The steps `made` and `given`; the arguments are those of the plugin."""

    # --- made

    def made(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Compute rings: `rings` with their files, or `later` if no host has swift's code yet."""
        states, wanted = self.argument("known"), self.argument("rings")
        newest = rings.newest(states)
        builders = {
            name: states[host]["builders"][name]["content"] for name, host in newest.items()
        }
        kept = Path(self.argument("keep"))
        if not builders:
            builders = read_kept(kept)
        versions = {name: builder_version(decode(text)) for name, text in builders.items()}
        if stranded := rings.stranded(states, versions):
            raise CairnError(
                "the builders of rings in use are lost, and new rings would make all objects "
                "unreachable; nothing was changed:\n  "
                + "\n  ".join(stranded)
                + "\n  → restore the builders to /var/lib/cairn/rings of a controller, from a "
                "backup or from a ring (docs/change-object-storage.md)"
            )
        circumstances = {
            "lost": list(self.argument("lost")),
            "share": float(self.argument("share")),
            "holding": rings.holding(states, wanted),
        }
        venv = self.venv(task_vars)
        if venv is None:
            return {"changed": True, "later": True, **self.first(wanted, builders)}
        payload = {
            "venv": str(venv),
            "rings": wanted,
            "builders": builders,
            "circumstances": circumstances,
        }
        done = self.call("cairn_rings", {"state": "made", "payload": pack(payload)}, task_vars)
        lines = [
            f"{name}: {line}" for name, ring in done["rings"].items() for line in ring["lines"]
        ]
        return {**done, "later": False, "lines": lines, "before": builders}

    def first(
        self, wanted: Mapping[str, Mapping[str, Any]], builders: Mapping[str, str]
    ) -> dict[str, Any]:
        """The plan before any host has swift's code: the steps of the first rings, or refusals."""
        if builders:
            return {
                "lines": ["rings are restored from their builders once swift's code is installed"]
            }
        decisions = [rings.decide(rings.ring_of(name, ring), None) for name, ring in wanted.items()]
        refusals = [text for decision in decisions for text in decision.refusals]
        if refusals:
            raise CairnError(
                "the rings are refused, nothing was changed:\n  " + "\n  ".join(refusals)
            )
        steps = [(decision.ring, step) for decision in decisions for step in decision.steps]
        return {"lines": [f"{ring}: {step.text}" for ring, step in steps]}

    def venv(self, task_vars: dict[str, Any]) -> Path | None:
        """Swift's virtualenv on this host: the current one, else the staged one, else None."""
        state = self.host_state(task_vars)
        if state.get("services", {}).get("swift", {}).get("current"):
            return Path(paths.current("swift")) / "venv"
        wanted = self.model(task_vars).manifest("swift")
        name = str(wanted["venv"]["name"]) if wanted and wanted["venv"] else ""
        return Path(paths.VENVS / name) if name in state.get("venvs", []) else None

    # --- given

    def given(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the computed rings to this host; no call if it has them all."""
        made = self.argument("made")["rings"]
        state = self.host_state(task_vars)
        present = self.argument("known").get(self.host_name(task_vars), {})
        model = self.model(task_vars)
        builders = made if "controller" in model.me["groups"] else {}
        due = min((ring["due"] for ring in made.values() if ring["due"]), default="")
        records = {RECORD: digest(self.record(model)), DUE: due}
        present_records = state.get("records", {})
        versions = {name: ring["version"] for name, ring in made.items()}
        present_builders = {
            name: present.get("builders", {}).get(name, {}).get("content") for name in builders
        }
        if (
            present.get("rings") == versions
            and present_builders == {name: ring["builder"] for name, ring in builders.items()}
            and records.items() <= present_records.items()
        ):
            return {"changed": False}
        changed = present.get("rings") != versions or bool(builders)
        if self.check_mode:
            return {"changed": changed}
        payload = {
            "builders": {name: ring["builder"] for name, ring in builders.items()},
            "rings": {name: ring["ring"] for name, ring in made.items()},
            "records": records,
        }
        done = self.call("cairn_rings", {"state": "given", "payload": pack(payload)}, task_vars)
        if builders:
            keep(Path(self.argument("keep")), payload["builders"])
        self.remember(task_vars, records={**present_records, **records})
        return done

    @staticmethod
    def record(model: Any) -> str:
        """The record of the wanted rings, from swift's description."""
        return str(model.part("swift", "records")[RECORD])


def read_kept(folder: Path) -> dict[str, str]:
    """The builders that the control node has kept."""
    return {path.stem: encode(path.read_bytes()) for path in sorted(folder.glob("*.builder"))}


def keep(folder: Path, builders: Mapping[str, str]) -> None:
    """Keep builders on the control node as well, and a backup of each previous one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in builders.items():
        path, content = folder / f"{name}.builder", decode(text)
        if path.exists():
            before = path.read_bytes()
            if before == content:
                continue
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(path.stat().st_mtime))
            old = folder / "backups" / f"{name}-{builder_version(before)}-{stamp}.builder"
            old.parent.mkdir(mode=0o700, exist_ok=True)
            path.rename(old)
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.write_bytes(content)
        fresh.chmod(0o600)
        fresh.rename(path)
