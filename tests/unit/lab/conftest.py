"""Fixtures of the lab's tests."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lab import inventory
from lab.inventory import Site

PROVIDERS = {
    "external": {"type": "flat", "cidr": "198.18.40.0/24", "gateway": "198.18.40.1"},
    "tenants": {"type": "vlan", "vlans": "100-199"},
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots virtual machines; needs root and minutes")


def machine(number: int, planes: dict[str, Any]) -> dict[str, Any]:
    """A host's variables, as Ansible gives them."""
    return copy.deepcopy(
        {
            "ansible_host": f"198.18.0.{number}",
            "cairn_planes": planes,
            "cairn_provider_networks": PROVIDERS,
            "cairn_host_number": number,
            "cairn_nics": {
                "mgmt0": {"mac": f"52:54:00:18:00:{number}"},
                "stor0": {"mac": f"52:54:00:18:14:{number}", "mtu": 9000},
                "serv0": {"mac": f"52:54:00:18:1E:{number}"},
            },
            "cairn_host_planes": {
                "management": {"interface": "mgmt0"},
                "storage": {"interface": "stor0"},
                "service": {"interface": "serv0"},
            },
            "lab_memory_mb": 1024,
        }
    )


@pytest.fixture
def hostvars(planes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"localhost": {}, "alpha": machine(11, planes), "beta": machine(12, planes)}


@pytest.fixture
def site(hostvars: dict[str, dict[str, Any]]) -> Site:
    return inventory.site(hostvars)
