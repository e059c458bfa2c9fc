"""Fixtures of the lab's tests."""

from __future__ import annotations

from typing import Any

import pytest

from lab import inventory
from lab.inventory import Site
from tests.conftest import host_variables

PROVIDERS = {
    "external": {"type": "flat", "cidr": "198.18.40.0/24", "gateway": "198.18.40.1"},
    "tenants": {"type": "vlan", "vlans": "100-199"},
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots virtual machines; needs root and minutes")


def machine(number: int, planes: dict[str, Any]) -> dict[str, Any]:
    """A host's variables, as Ansible gives them."""
    made = host_variables(number, planes, PROVIDERS, mac="52:54:00:18")
    # An inventory may have them in capitals.
    made["cairn_nics"]["serv0"]["mac"] = made["cairn_nics"]["serv0"]["mac"].upper()
    return {**made, "ansible_host": f"198.18.0.{number}", "lab_memory_mb": 1024}


@pytest.fixture
def hostvars(planes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"localhost": {}, "alpha": machine(11, planes), "beta": machine(12, planes)}


@pytest.fixture
def site(hostvars: dict[str, dict[str, Any]]) -> Site:
    return inventory.site(hostvars)
