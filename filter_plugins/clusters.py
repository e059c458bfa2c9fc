"""Filters on the controllers' clusters, as the controllers report them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def galera_founder(controllers: list[str], hostvars: Mapping[str, Any]) -> str:
    """The controller that founds the cluster; an empty string when there is a cluster already.

    `hostvars` holds each host's `cairn_host`. The founder is the first controller, and brings the
    databases along that it held while it was alone. AnsibleFilterError when others hold databases,
    or when a controller's state is not known: two clusters would be worse than none.
    """
    states: dict[str, Mapping[str, Any]] = {
        name: hostvars.get(name, {}).get("cairn_host") or {} for name in controllers
    }
    if any("mysql-cluster" in state.get("records", {}) for state in states.values()):
        return ""
    for name in controllers:
        if "services" not in states[name]:
            raise AnsibleFilterError(
                f"{name}: nothing is known of this controller, so whether there is a MariaDB "
                "cluster already is unknown; run again when all controllers answer"
            )
    alone = [n for n in controllers if states[n]["services"].get("mysql", {}).get("current")]
    if len(alone) > 1:
        raise AnsibleFilterError(
            f"{' and '.join(alone)} each hold databases of their own but are in no cluster; "
            "decide whose are to be kept and remove /var/lib/cairn/services/mysql/current on the "
            "others, whose databases are then replaced"
        )
    if alone and alone[0] != controllers[0]:
        raise AnsibleFilterError(
            f"{alone[0]} holds the databases and would join an empty cluster: put it first in the "
            "group controller of the inventory"
        )
    return controllers[0]


def others_with(
    controllers: list[str], role: str, hostvars: Mapping[str, Any], name: str
) -> list[str]:
    """The controllers other than `name` that run a role's service, in their order.

    `hostvars` holds each host's `cairn_host`, which a switch in this run has brought up to date.
    """
    found = []
    for other in controllers:
        state = hostvars.get(other, {}).get("cairn_host") or {}
        if other != name and state.get("services", {}).get(role, {}).get("current"):
            found.append(other)
    return found


def who_drained(registered: Mapping[str, Any]) -> list[str]:
    """The load balancers that sent requests elsewhere, from a loop of cairn_drain over them.

    `registered` is what the loop registered, whole or cut short by a failure.
    """
    results = registered.get("results") or []
    return [result["item"] for result in results if result.get("drained")]


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter functions by name."""
        return {
            "galera_founder": galera_founder,
            "others_with": others_with,
            "who_drained": who_drained,
        }
