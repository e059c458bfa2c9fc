"""Services see no other user's processes: some are given a volume's password as argument."""

from __future__ import annotations

import configparser
from typing import Any

# They make mounts or network namespaces for the whole host, which a sandbox would keep from it.
# docs/explanation/secrets.md says so.
SEE_ALL = {"cinder-backup", "cinder-volume", "neutron-ovn-agent", "nova-compute"}


def test_all_but_a_few_services_are_blind_to_other_users_processes(models: list[Any]) -> None:
    blind: set[str] = set()
    seeing: set[str] = set()
    for manifest in [manifest for *_, manifests in models for manifest in manifests.values()]:
        for unit in manifest["units"]:
            if not unit["text"] or not unit["unit"].endswith(".service"):
                continue
            parser = configparser.RawConfigParser(strict=False)
            parser.optionxform = str  # type: ignore[assignment, method-assign]
            parser.read_string(unit["text"])
            service = parser["Service"]
            if service.get("User", "root") != "root":
                sees = service.get("ProtectProc") != "invisible"
                (seeing if sees else blind).add(unit["name"])
    assert seeing == SEE_ALL
    assert {"nova-api", "swift-object-server", "ceilometer-compute", "gnocchi-metricd"} <= blind
