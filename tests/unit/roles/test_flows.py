"""roles/service/files/flows.yml lists every way that the services' descriptions open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.reference import contents
from cairn.service import registry
from cairn.service.description import catalog_entries
from cairn.service.model import Model
from cairn.site import peers
from cairn.site.flows import KINDS, PUBLIC, read
from cairn.site.planes import GROUPS

ROOT = Path(__file__).resolve().parents[3]
FLOWS: list[dict[str, Any]] = yaml.safe_load((ROOT / "roles/service/files/flows.yml").read_text())
OPTIONAL = registry.optional(registry.descriptions())
ENDS = {"all", "clients", "instances", "operator", "outside", *GROUPS}


def listed(port: int, plane: str) -> set[str]:
    """Groups that the flows say listen on a port of a plane."""
    return {group for f in FLOWS if f["port"] == port and f["plane"] == plane for group in f["to"]}


def listeners(model: Model) -> list[tuple[str, int, str, set[str]]]:
    """Each port that a description opens: the unit's name, the port, its plane, the groups."""
    found = []
    for role in model.roles():
        default = model.part(role, "groups")
        for name, unit in (model.part(role, "units") or {}).items():
            ports = {unit.get("port"), (unit.get("health") or {}).get("tcp")} - {None}
            groups = set(unit.get("groups", default))
            plane = unit.get("plane", "management")
            found += [(f"{role}: {name}", int(port), plane, groups) for port in ports if groups]
    return found


@pytest.mark.parametrize("flow", FLOWS, ids=lambda f: f"{f['name']}-{f['plane']}")
def test_flow_says_everything(flow: dict[str, Any]) -> None:
    assert flow["kind"] in KINDS
    assert flow["plane"] in {"management", "storage", "service", "public", "external"}
    assert flow["from"] and set(flow["from"]) <= ENDS
    assert flow["to"] and set(flow["to"]) <= ENDS


def test_what_a_driver_reaches_outside_the_site_is_listed() -> None:
    (shares,) = [flow for flow in FLOWS if flow["port"] == 2049]
    assert set(shares["from"]) == {"compute", "storage"}
    assert (shares["to"], shares["kind"], shares["plane"]) == (["outside"], "native", "storage")


def test_the_file_can_be_read() -> None:
    assert len(read()) == len(FLOWS)


def test_no_flow_stands_twice() -> None:
    keys = [(f["port"], f["protocol"], f["plane"], *f["to"]) for f in FLOWS]
    assert len(keys) == len(set(keys))


def sources(port: int | None, plane: str, protocol: str = "tcp") -> set[str]:
    """Clients that the flows say a port of a plane has."""
    chosen = (f for f in FLOWS if (f["port"], f["plane"], f["protocol"]) == (port, plane, protocol))
    return {end for flow in chosen for end in flow["from"]}


def test_the_pings_of_every_pair_of_hosts_are_listed() -> None:
    example = contents.inventory()
    missing = set()
    for me, host in example.fact["hosts"].items():
        for peer in peers.all_peers(example.fact, me):
            plane = PUBLIC if peer["plane"] == example.site.public_plane else peer["plane"]
            allowed = sources(None, plane, "icmp")
            if not allowed & {"all", *host["groups"]}:
                missing.add((me, plane))
    assert missing == set()


def test_the_control_node_reaches_apis_where_its_clouds_yaml_says(
    make_model: Callable[..., Model],
) -> None:
    clouds = (ROOT / "roles/operator/templates/clouds.yaml.j2").read_text()
    assert "interface: public" in clouds and "names.public" in clouds
    model = make_model(services=OPTIONAL)
    entries = [e for role in model.roles() for e in catalog_entries(model.part(role, "catalog"))]
    ports = {entry["port"] for entry in entries if entry.get("type")}
    assert len(ports) > 5
    signals = 8000  # of instances
    unlisted = {port for port in ports - {signals} if "operator" not in sources(port, PUBLIC)}
    assert unlisted == set()
    inside = [
        flow["name"]
        for flow in FLOWS
        if "operator" in flow["from"]
        and flow["plane"] == "management"
        and flow["to"] != ["outside"]
    ]
    assert inside == ["SSH"]


@pytest.mark.parametrize("controllers", [1, 3])
def test_every_listener_is_listed(make_model: Callable[..., Model], controllers: int) -> None:
    found = listeners(make_model(controllers=controllers, services=OPTIONAL))
    assert {port for _name, port, _plane, _groups in found} >= {3306, 5671, 11211, 5000}
    missing = [
        f"{name} listens on {port}" for name, port, plane, groups in found
        if not groups <= listed(port, plane)
    ]  # fmt: skip
    assert missing == []


def test_every_frontend_is_listed_where_it_is_offered(make_model: Callable[..., Model]) -> None:
    for front in make_model(services=OPTIONAL).frontends():
        if front["public"]:
            assert "controller" in listed(front["port"], "public"), front["name"]
        else:
            assert listed(front["port"], "public") == set(), front["name"]


def test_every_catalog_entry_is_reached_by_its_port(make_model: Callable[..., Model]) -> None:
    model = make_model(services=OPTIONAL)
    for role in model.roles():
        for entry in catalog_entries(model.part(role, "catalog")):
            if entry.get("type"):
                assert "controller" in listed(entry["port"], "management"), role
