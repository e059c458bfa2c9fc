"""Action: the object store's rings, from what all hosts say to what each host gets.

`known` asks one host. `made`, on one controller, takes the newest builders of all of them and
works out new rings with swift's code; nothing is written yet. `given` hands those to one host.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from cairn.actions.base import CairnAction
from cairn.errors import CairnError
from cairn.service.manifest import digest
from cairn_host import paths
from cairn_host.storage import rings
from cairn_host.storage.rings import builder_version
from cairn_host.wire import decode, encode, pack

RECORD, DUE = "swift-rings", "due-swift"


class ActionModule(CairnAction):
    """`state: known`, `made` and `given`, one after the other."""

    ARGUMENTS: ClassVar = {
        "state": None,
        "rings": None,
        "known": None,
        "lost": (),
        "share": 100,
        "keep": None,
        "made": None,
    }

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do one step."""
        if self.argument("state") == "known":
            return self.call("cairn_rings", {"state": "known"}, task_vars)
        if self.argument("state") == "made":
            return self.made(task_vars)
        return self.given(task_vars)

    # --- made

    def made(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """New rings: `rings` with their files, or `later` when swift's code is not there yet."""
        known, wanted = self.argument("known"), self.argument("rings")
        newest = rings.newest(known)
        builders = {name: known[host]["builders"][name]["content"] for name, host in newest.items()}
        kept = Path(self.argument("keep"))
        if not builders:
            builders = read_kept(kept)
        versions = {name: builder_version(decode(text)) for name, text in builders.items()}
        if stranded := rings.stranded(known, versions):
            raise CairnError(
                "rings are in use whose builders are lost, and making new ones would hide all "
                "objects; nothing was changed:\n  "
                + "\n  ".join(stranded)
                + "\n  → bring the builders back to /var/lib/cairn/rings of a controller: from a "
                "backup, or from a ring (docs/change-object-storage.md)"
            )
        circumstances = {
            "lost": list(self.argument("lost")),
            "share": float(self.argument("share")),
            "holding": rings.holding(known, wanted),
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
        """What can be said before any host has swift's code: the first rings, or refusals."""
        if builders:
            return {"lines": ["rings come back from their builders once swift's code is there"]}
        decisions = [rings.decide(rings.ring_of(name, ring), None) for name, ring in wanted.items()]
        refusals = [text for decision in decisions for text in decision.refusals]
        if refusals:
            raise CairnError(
                "the rings are refused, nothing was changed:\n  " + "\n  ".join(refusals)
            )
        steps = [(decision.ring, step) for decision in decisions for step in decision.steps]
        return {"lines": [f"{ring}: {step.text}" for ring, step in steps]}

    def venv(self, task_vars: dict[str, Any]) -> Path | None:
        """The virtualenv of swift on this host: the one in force, or else the staged one."""
        state = self.host_state(task_vars)
        if state.get("services", {}).get("swift", {}).get("current"):
            return Path(paths.current("swift")) / "venv"
        wanted = self.model(task_vars).manifest("swift")
        name = str(wanted["venv"]["name"]) if wanted and wanted["venv"] else ""
        return Path(paths.VENVS / name) if name in state.get("venvs", []) else None

    # --- given

    def given(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Hand the made rings to this host; no call where it has them all."""
        made = self.argument("made")["rings"]
        state = self.host_state(task_vars)
        told = self.argument("known").get(self.host_name(task_vars), {})
        model = self.model(task_vars)
        builders = made if "controller" in model.me["groups"] else {}
        due = min((ring["due"] for ring in made.values() if ring["due"]), default="")
        records = {RECORD: digest(self.record(model)), DUE: due}
        known = state.get("records", {})
        fresh = {name: ring["version"] for name, ring in made.items()}
        held = {n: told.get("builders", {}).get(n, {}).get("content") for n in builders}
        if (
            told.get("rings") == fresh
            and held == {name: ring["builder"] for name, ring in builders.items()}
            and records.items() <= known.items()
        ):
            return {"changed": False}
        changed = told.get("rings") != fresh or bool(builders)
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
        self.remember(task_vars, records={**known, **records})
        return done

    @staticmethod
    def record(model: Any) -> str:
        """What the description records of the rings that are wanted."""
        return str(model.part("swift", "records")[RECORD])


def read_kept(folder: Path) -> dict[str, str]:
    """The builders that the operator's machine has kept."""
    return {path.stem: encode(path.read_bytes()) for path in sorted(folder.glob("*.builder"))}


def keep(folder: Path, builders: Mapping[str, str]) -> None:
    """Keep builders on the operator's machine too, and each one that was there before."""
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
