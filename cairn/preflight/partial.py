"""What a run over a part of the site (`--limit`) may do, and what it would leave half done.

Pure functions; the actions that call them run on the control node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..service.model import Model, migration_record, migration_value
from .finding import ERROR, WARNING, Finding

CHECK = "limit"
DECLARED = ("databases", "queue", "catalog")  # what the first controller keeps for all
SHOWN = 5


@dataclass(frozen=True)
class Member:
    """A host of the run and its services that are deployed for the first time or change.

    `moves` names those with a schema whose virtualenv changes on this host or whose schema it has
    yet to move; `changes` those that get another generation and have a database, a message queue or
    an entry in the catalog.
    """

    groups: list[str]
    first: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


def member(model: Model, state: Mapping[str, Any], stale: Iterable[str]) -> Member:
    """What the run would do to the model's host; `state` is what the host says of itself."""
    first: list[str] = []
    moves: list[str] = []
    changes: list[str] = []
    records = state.get("records", {})
    for role in stale:
        wanted = model.manifest(role)
        if wanted is None:
            continue
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
    return Member(list(model.me["groups"]), first, moves, changes)


def judge(
    site: Mapping[str, Collection[str]], run: Mapping[str, Member], services: Collection[str]
) -> list[Finding]:
    """What is wrong with a run over the hosts `run` of a site, {host: its groups}.

    Rules. A schema is moved by the first controller and finished by the last, when no controller
    runs the old code any more; and no other host may run newer code than the controllers (nova's
    and cinder's rule). A host that is new is made known by the controllers: to nova's cell, to the
    clusters. The first controller changes passwords and endpoints in the databases, the message
    queue and the catalog. The rings of the object store reach all of its hosts at once.
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
                    f"{_some(one.moves)} would get other code or another schema, and "
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
                    f"{_some(one.first)} would be deployed here for the first time, and "
                    f"{_some(controllers)}, which must learn of it, {_are(controllers)} left out "
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
                    f"{_some(one.changes)} would change, and {leader}, which changes databases, "
                    "queues and the catalog for all controllers, is left out of this run",
                    f"run over {leader}, too; while it is off, take it out of the inventory's "
                    "groups (docs/replace-a-host.md)",
                    name,
                )
            )
        elif "swift" in one.first and "swift" in services and keepers:
            found.append(
                Finding(
                    ERROR,
                    CHECK,
                    f"swift would be deployed here for the first time, and {_some(keepers)}, which "
                    f"get the same rings, {_are(keepers)} left out of this run",
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
    """Names as a sentence has them, some of many."""
    shown = [*names][:SHOWN]
    return ", ".join(shown) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _are(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _do(names: Collection[str]) -> str:
    return "does" if len(names) == 1 else "do"
