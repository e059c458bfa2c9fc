"""The inventories of the project are without mistakes, as Ansible itself reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager

from cairn.service import registry
from cairn.site.networkd import units
from cairn.site.planes import GROUPS, Site, read_site


def variables_of(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Each managed host's variables (not templated), and the groups."""
    loader = DataLoader()
    loader.set_vault_secrets([])
    inventory = InventoryManager(loader=loader, sources=[str(path)])
    manager = VariableManager(loader=loader, inventory=inventory)
    groups = {g: [h.name for h in inventory.groups[g].get_hosts()] for g in GROUPS}
    hosts = {h for members in groups.values() for h in members}
    return {
        name: manager.get_vars(host=inventory.get_host(name), include_hostvars=False)
        for name in sorted(hosts)
    }, groups


@pytest.fixture
def example(root: Path) -> Site:
    site, problems = read_site(*variables_of(root / "inventories/example"))
    assert [p.sentence() for p in problems] == []
    return site


def test_the_example_is_the_site_it_says(example: Site) -> None:
    counts = {g: sum(g in h.groups for h in example.hosts.values()) for g in GROUPS}
    assert counts == {"controller": 3, "network": 2, "compute": 4, "storage": 3}
    assert example.hosts["controller2"].addresses == {
        "management": "10.20.0.12",
        "public": "203.0.113.4",
        "storage": "10.20.16.12",
        "service": "10.20.32.12",
    }


def test_the_examples_override(example: Site) -> None:
    host = example.hosts["compute4"]
    assert host.addresses["storage"] == "10.20.16.240"
    assert {a.plane.name: a.device for a in host.attachments} == {
        "management": "bond0",
        "storage": "bond0.116",
        "service": "bond0.132",
    }
    # The untagged plane with 1500 on a bond with 9000.
    assert "MTUBytes=1500" in units(host, example)["20-cairn-bond0.network"]


def test_the_example_uses_only_known_variables(root: Path) -> None:
    known, _ = registry.variables()
    hosts, _ = variables_of(root / "inventories/example")
    used = {name for variables in hosts.values() for name in variables}
    assert {n for n in used if n.startswith("cairn_")} <= known


@pytest.mark.parametrize("name", ["lab", "lab-ha"])
def test_the_labs_are_without_mistakes(root: Path, tmp_path: Path, name: str) -> None:
    # Without its secrets, for which a test has no password.
    lab = tmp_path / "lab"
    for path in (root / "inventories" / name).rglob("*.yml"):
        if path.name != "secrets.yml":
            copy = lab / path.relative_to(root / "inventories" / name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text())
    site, problems = read_site(*variables_of(lab))
    assert [p.sentence() for p in problems] == []
    assert {"management", "storage", "service"} <= set(site.planes)
