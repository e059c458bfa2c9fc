"""Filters on generations: where a rollback leads, and where it must not lead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cairn.service.model import contract_record, migration_record


def rollback_obstacle(hostvars: Mapping[str, Any], service: str, controllers: Sequence[str]) -> str:
    """Why a service must not go back to its previous generation; nothing where it may.

    `hostvars` has of each host what it says of itself (`cairn_host`). Code of an older release does
    not know a schema whose steps after the switch a newer one has run.
    """
    states = {name: hostvars[name].get("cairn_host") or {} for name in hostvars}
    releases = {name: schema_release(state, service) for name, state in states.items()}
    for name, state in states.items():
        known = state.get("services", {}).get(service, {})
        before = known.get("previous_release")
        if not before or before == known.get("release"):
            continue
        where = f"{service} cannot go back from {known.get('release')} to {before} on {name}: "
        silent = [one for one in controllers if "services" not in states.get(one, {})]
        if silent:
            return (
                f"{where}{', '.join(silent)} did not answer, so that nobody can tell whether its "
                "schema still fits. Run again when all controllers answer."
            )
        moved = {other: release for other, release in releases.items() if release}
        for other, release in moved.items():
            if before < release:
                return (
                    f"{where}the schema steps that follow an upgrade were run with {release} "
                    f"(record {contract_record(service)} of {other}), and code of {before} does "
                    f"not know that schema. Restore the databases of {service} from a backup made "
                    "before the upgrade, or mend what is wrong and go on."
                )
    return ""


def rollback_targets(hostvars: Mapping[str, Any], service: str) -> dict[str, str]:
    """Return the generation by host to which a rollback of a service leads.

    After a rollback that failed half-way the hosts that are back keep the generation in force, and
    the others follow. Where every host is back, all go forward again.
    """
    known = {
        name: (hostvars[name].get("cairn_host") or {}).get("services", {}).get(service, {})
        for name in hostvars
    }
    able = {name: host for name, host in known.items() if host.get("previous")}
    finished = all(host.get("rolled_back") for host in able.values())
    return {
        name: host["current"] if host.get("rolled_back") and not finished else host["previous"]
        for name, host in able.items()
    }


def schema_release(state: Mapping[str, Any], service: str) -> str | None:
    """The release to which a host has moved a service's schema for good, as far as it knows."""
    records = state.get("records", {})
    if found := records.get(contract_record(service)):
        return str(found)
    # Before that record was kept these steps belonged to the run of the upgrade.
    if migration_record(service, "after") in records:
        release = state.get("services", {}).get(service, {}).get("release")
        return str(release) if release else None
    return None


class FilterModule:
    """Makes the filters known to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to filter."""
        return {"rollback_targets": rollback_targets, "rollback_obstacle": rollback_obstacle}
