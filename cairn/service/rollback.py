"""Whether a service may go back to its previous generation. Control node only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .model import contract_record, migration_record


def rollback_obstacle(hostvars: Mapping[str, Any], service: str, controllers: Sequence[str]) -> str:
    """Why a service must not go back to its previous generation; empty if it may.

    `hostvars` holds each host's `cairn_host`. An older release does not work with a schema on which
    a newer release has run its steps after the switch.
    """
    states = {name: hostvars[name].get("cairn_host") or {} for name in hostvars}
    releases = {name: schema_release(state, service) for name, state in states.items()}
    for name, state in states.items():
        present = state.get("services", {}).get(service, {})
        before = present.get("previous_release")
        if not before or before == present.get("release"):
            continue
        where = f"{service} cannot go back from {present.get('release')} to {before} on {name}: "
        silent = [one for one in controllers if "services" not in states.get(one, {})]
        if silent:
            return (
                f"{where}{', '.join(silent)} did not answer, so it is unknown whether the schema "
                "still fits. Run again when all controllers answer."
            )
        moved = {other: release for other, release in releases.items() if release}
        for other, release in moved.items():
            if before < release:
                return (
                    f"{where}the schema steps that follow an upgrade were run with {release} "
                    f"(record {contract_record(service)} of {other}), and {before} does not work "
                    f"with that schema. Restore the databases of {service} from a backup made "
                    "before the upgrade, or fix the problem and stay on the new release."
                )
    return ""


def rollback_targets(hostvars: Mapping[str, Any], service: str) -> dict[str, str]:
    """The generation to which a rollback of a service leads on each host.

    After a rollback that failed on some hosts, hosts that are back keep their current generation
    and the others follow. If every host is back, all go forward again.
    """
    states = {
        name: (hostvars[name].get("cairn_host") or {}).get("services", {}).get(service, {})
        for name in hostvars
    }
    able = {name: state for name, state in states.items() if state.get("previous")}
    finished = all(state.get("rolled_back") for state in able.values())
    return {
        name: state["current"] if state.get("rolled_back") and not finished else state["previous"]
        for name, state in able.items()
    }


def schema_release(state: Mapping[str, Any], service: str) -> str | None:
    """The release to which a service's schema was moved irreversibly, as far as the host knows."""
    records = state.get("records", {})
    if release := records.get(contract_record(service)):
        return str(release)
    # Releases without that record ran these steps during the upgrade.
    if migration_record(service, "after") in records:
        release = state.get("services", {}).get(service, {}).get("release")
        return str(release) if release else None
    return None
