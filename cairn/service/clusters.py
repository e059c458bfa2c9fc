"""Clusters of the controllers, as the controllers' probes report them. Control node only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import CairnError


def galera_founder(controllers: list[str], hostvars: Mapping[str, Any]) -> str:
    """The controller that bootstraps the Galera cluster; empty if there is a cluster already.

    `hostvars` holds each host's `cairn_host`. The founder is the first controller; it keeps the
    databases of a former single-node deployment. CairnError if other controllers hold databases, or
    if a controller's state is unknown: a second cluster would be worse than none.
    """
    states: dict[str, Mapping[str, Any]] = {
        name: hostvars.get(name, {}).get("cairn_host") or {} for name in controllers
    }
    if any("mysql-cluster" in state.get("records", {}) for state in states.values()):
        return ""
    for name in controllers:
        if "services" not in states[name]:
            raise CairnError(
                f"{name}: the state of this controller is unknown, and it may belong to a MariaDB "
                "cluster; run again when all controllers answer"
            )
    alone = [n for n in controllers if states[n]["services"].get("mysql", {}).get("current")]
    if len(alone) > 1:
        raise CairnError(
            f"{' and '.join(alone)} each hold databases of their own but are in no cluster; "
            "decide whose databases to keep, and remove /var/lib/cairn/services/mysql/current on "
            "the others, whose databases are then replaced"
        )
    if alone and alone[0] != controllers[0]:
        raise CairnError(
            f"{alone[0]} holds the databases and would join an empty cluster: list it first in the "
            "group controller of the inventory"
        )
    return controllers[0]


def others_with(
    controllers: list[str], role: str, hostvars: Mapping[str, Any], name: str
) -> list[str]:
    """The controllers other than `name` that run a role's service, in inventory order.

    `hostvars` holds each host's `cairn_host`, which switches of this run have updated.
    """
    others = []
    for other in controllers:
        state = hostvars.get(other, {}).get("cairn_host") or {}
        if other != name and state.get("services", {}).get(role, {}).get("current"):
            others.append(other)
    return others


def who_drained(registered: Mapping[str, Any]) -> list[str]:
    """The load balancers that drained servers, from a loop of cairn_drain over them.

    `registered` is the loop's registered variable, complete or cut short by a failure.
    """
    results = registered.get("results") or []
    return [result["item"] for result in results if result.get("drained")]
