"""Whether a run over a part of the site (`--limit`) would leave work unfinished.

Pure functions; the actions that call them run on the control node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..service.model import Model, due_records, migration_record, migration_value
from .finding import ERROR, WARNING, Finding

CHECK = "limit"
DECLARED = ("databases", "queue", "catalog")  # changed by the first controller for all hosts
RINGS = "swift-rings"  # the record of the rings, which the first controller computes for all hosts
SHOWN = 5


@dataclass(frozen=True)
class Member:
    """A host of the run, with its services that are new or change.

    `moves` are services with a schema whose virtualenv changes on this host or whose schema still
    has to be migrated there; `changes` are services with a database, a message queue or a catalog
    entry that get another generation; `rings` is whether the host should have other rings.
    """

    groups: list[str]
    first: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    rings: bool = False


def member(model: Model, state: Mapping[str, Any], stale: Iterable[str]) -> Member:
    """What the run would do to the model's host; `state` is the host's probe."""
    first: list[str] = []
    moves: list[str] = []
    changes: list[str] = []
    rings = False
    records = state.get("records", {})
    for role in stale:
        wanted = model.manifest(role)
        if wanted is None:
            continue
        rings = rings or RINGS in due_records(wanted, records)
        known = state.get("services", {}).get(role, {})
        described = model.raw(role)
        if not known.get("current"):
            first.append(role)
        elif known["current"] != wanted["id"] and any(described.get(key) for key in DECLARED):
            changes.append(role)
        if not described.get("migrations"):
            continue
        new_code = known.get("current") and known.get("venv") != (wanted["venv"] or {}).get("name")
        due = any(
            records.get(migration_record(role, step["phase"])) != migration_value(wanted)
            for step in wanted["migrations"]
        )
        if new_code or due:
            moves.append(role)
    return Member(list(model.me["groups"]), first, moves, changes, rings)


def judge(
    site: Mapping[str, Collection[str]], run: Mapping[str, Member], services: Collection[str]
) -> list[Finding]:
    """The findings on a run over the hosts `run` of a site, {host: its groups}.

    Rules: The first controller migrates a schema, and the last one finishes it, when no controller
    runs the old code any more. No other host may run newer code than the controllers (a rule of
    nova and cinder). The controllers add a new host to nova's cell and to the clusters. The first
    controller changes passwords and endpoints in the databases, the message queue and the catalog.
    The rings of the object store must reach all of its hosts.
    """
    missing = {name: groups for name, groups in site.items() if name not in run}
    if not missing:
        return []
    controllers = [name for name, groups in missing.items() if "controller" in groups]
    leader = next((name for name, groups in site.items() if "controller" in groups), "")
    keepers = [name for name, groups in missing.items() if {"controller", "storage"} & set(groups)]
    found = []
    for name, one in run.items():
        if one.moves and controllers:
            found.append(
                Finding(
                    ERROR,
                    CHECK,
                    f"{_some(one.moves)} would get other code or another schema, but "
                    f"{_some(controllers)} {_are(controllers)} left out of this run",
                    f"run over all controllers: --limit '{name},controller', or without --limit",
                    name,
                )
            )
        elif one.first and controllers:
            found.append(
                Finding(
                    ERROR,
                    CHECK,
                    f"{_some(one.first)} would be deployed here for the first time, but "
                    f"{_some(controllers)}, which must register it, {_are(controllers)} left out "
                    "of this run",
                    f"run over all controllers: --limit '{name},controller', or without --limit",
                    name,
                )
            )
        elif one.changes and leader in missing and "controller" in one.groups:
            found.append(
                Finding(
                    ERROR,
                    CHECK,
                    f"{_some(one.changes)} would change, but {leader}, which changes databases, "
                    "queues and the catalog for all controllers, is left out of this run",
                    f"run over {leader}, too; while it is off, remove it from the inventory's "
                    "groups (docs/replace-a-host.md)",
                    name,
                )
            )
        elif one.rings and leader in missing:
            found.append(
                Finding(
                    ERROR,
                    CHECK,
                    f"the rings of swift would change, but {leader}, which computes them, is left "
                    "out of this run",
                    f"run over all hosts of swift: --limit '{name},controller,storage', or without "
                    "--limit",
                    name,
                )
            )
        elif "swift" in one.first and "swift" in services and keepers:
            found.append(
                Finding(
                    ERROR,
                    CHECK,
                    f"swift would be deployed here for the first time, but {_some(keepers)}, which "
                    f"need the same rings, {_are(keepers)} left out of this run",
                    f"run over all of them: --limit '{name},controller,storage', or without "
                    "--limit",
                    name,
                )
            )
        elif one.first:
            found.append(
                Finding(
                    WARNING,
                    CHECK,
                    f"is new, and {_some(list(missing))} {_do(list(missing))} not learn its name "
                    "in this run",
                    "run once more without --limit",
                    name,
                )
            )
    return found


def _some(names: Collection[str]) -> str:
    """The first names of a list, for a sentence."""
    shown = [*names][:SHOWN]
    return ", ".join(shown) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _are(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _do(names: Collection[str]) -> str:
    return "does" if len(names) == 1 else "do"
