"""A small valid site, as the inventory's variables, to be spoilt by the tests."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cairn.site.planes import Problem, Site, read_site
from tests.conftest import host_variables
from tests.findings_page import is_on_the_page

PLANES: dict[str, Any] = {
    "management": {
        "cidr": "10.0.0.0/24",
        "mtu": 1500,
        "gateway": "10.0.0.1",
        "range": "10.0.0.11-10.0.0.99",
        "vip": "10.0.0.10",
    },
    "storage": {
        "cidr": "10.0.20.0/24",
        "vlan": 20,
        "mtu": 9000,
        "range": "10.0.20.11-10.0.20.99",
    },
    "service": {
        "cidr": "10.0.30.0/24",
        "vlan": 30,
        "mtu": 1500,
        "range": "10.0.30.11-10.0.30.99",
        "vip": "10.0.30.10",
    },
}
PROVIDER_NETWORKS: dict[str, Any] = {
    "external": {
        "type": "flat",
        "cidr": "10.0.40.0/24",
        "gateway": "10.0.40.1",
        "allocation": "10.0.40.100-10.0.40.199",
    },
    "tenants": {"type": "vlan", "vlans": "100-199"},
}
GROUPS = {
    "controller": ["controller1"],
    "network": ["network1"],
    "compute": ["compute1"],
    "storage": ["storage1"],
}


class Inventory:
    """Variables by host and hosts by group; `everywhere` changes a site-wide variable."""

    def __init__(self) -> None:
        names = ["controller1", "network1", "compute1", "storage1"]
        self.hosts = {
            name: host_variables(11 + n, PLANES, PROVIDER_NETWORKS) for n, name in enumerate(names)
        }
        self.groups: dict[str, list[str]] = copy.deepcopy(GROUPS)

    def everywhere(self, variable: str, value: Any) -> None:
        for variables in self.hosts.values():
            variables[variable] = copy.deepcopy(value)

    def plane(self, name: str, **changes: Any) -> None:
        for variables in self.hosts.values():
            variables["cairn_planes"][name].update(changes)

    def read(self) -> tuple[Site, list[Problem]]:
        return read_site(self.hosts, self.groups)

    def site(self) -> Site:
        site, problems = self.read()
        assert not problems, [p.sentence() for p in problems]
        return site


@pytest.fixture
def inventory() -> Inventory:
    return Inventory()


@pytest.fixture
def sentences(inventory: Inventory) -> Callable[[], list[str]]:
    """Everything wrong with the inventory now, as text."""
    return lambda: [p.sentence() for p in inventory.read()[1]]


@pytest.fixture(autouse=True)
def problems_are_on_the_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every mistake that the plane model names in a test is on the page of findings."""
    made: list[Problem] = []
    make = Problem.__init__

    def note(problem: Problem, *words: str) -> None:
        make(problem, *words)
        plane_model = sys._getframe(1).f_code.co_filename.endswith("/cairn/site/planes.py")
        if plane_model and problem.variable.startswith("cairn_"):
            made.append(problem)

    monkeypatch.setattr(Problem, "__init__", note)
    yield
    assert [p for p in made if not is_on_the_page("planes", p.variable, p.text)] == []
