"""One order of services: their descriptions name what comes before, and everything follows that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from cairn.errors import DescriptionError
from cairn.service import registry
from cairn.site.planes import GROUPS

DESCRIBED = registry.descriptions()


def misplaced(sequence: list[str]) -> list[str]:
    """Return what comes before something that it needs."""
    place = {role: number for number, role in enumerate(sequence)}
    return [
        f"{role} before {needed}"
        for role in set(place) & set(DESCRIBED)
        for needed in registry.basis(role, DESCRIBED)
        if needed in place and place[needed] > place[role]
    ]


def whole(play: Mapping[str, Any]) -> list[str]:
    """Return the roles that a play carries out whole."""
    included = [task.get("ansible.builtin.include_role", {}) for task in play.get("tasks", [])]
    names = [role["name"] for role in included if role and "tasks_from" not in role]
    return [*play.get("roles", []), *names]


def deployed(plays: list[Mapping[str, Any]]) -> list[str]:
    """Return the roles that plays carry out whole, each at its first play."""
    return list(dict.fromkeys(role for play in plays for role in whole(play)))


def test_every_service_comes_after_what_it_needs() -> None:
    order = registry.order(DESCRIBED)
    assert sorted(order) == sorted(DESCRIBED)
    assert misplaced(order) == []
    assert misplaced(["nova", "keystone"]) == ["nova before keystone"]


def test_only_the_base_needs_nothing() -> None:
    assert [role for role in DESCRIBED if not registry.basis(role, DESCRIBED)] == ["base"]


@pytest.mark.parametrize(
    ("described", "error"),
    [
        ({"a": {"after": ["b"]}}, "a_service: after names 'b', which is no service"),
        ({"a": {"after": ["b"]}, "b": {"after": ["a"]}}, "services wait for one another: a → b"),
    ],
)
def test_an_order_that_cannot_be_is_named(described: Any, error: str) -> None:
    with pytest.raises(DescriptionError, match=error):
        registry.order(described)


def test_the_plays_of_a_run_follow_it(root: Path) -> None:
    plays = deployed(yaml.safe_load((root / "playbooks/site.yml").read_text()))
    assert set(DESCRIBED) <= set(plays), "a service has no play"
    assert misplaced(plays) == []


def unserved(plays: list[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return by service the groups of hosts that have a part in it, but are in no play of it."""
    inventory = InventoryManager(loader=DataLoader(), sources=[])
    for group in GROUPS:
        inventory.add_group(group)
        inventory.add_host(group.upper(), group)
    wanted = {}
    for role, described in DESCRIBED.items():
        wanted[role] = {group for group in GROUPS if {group, "all"} & set(described["groups"])}
        inventory.add_group(f"stale_{role}")
        for group in wanted[role]:
            inventory.add_host(group.upper(), f"stale_{role}")
    missing = wanted
    for play in plays:
        pattern = str(play.get("hosts", "{{"))
        if "{{" not in pattern:  # others are of a new cloud only
            hosts = {host.name.lower() for host in inventory.get_hosts(pattern)}
            missing = {
                role: groups - hosts if role in whole(play) else groups
                for role, groups in missing.items()
            }
    return {role: groups for role, groups in missing.items() if groups}


def test_every_host_of_a_service_is_in_a_play_of_it(root: Path) -> None:
    text = (root / "playbooks/site.yml").read_text()
    assert unserved(yaml.safe_load(text)) == {}
    wrong = text.replace("hosts: controller:&stale_glance", "hosts: compute:&stale_glance")
    assert unserved(yaml.safe_load(wrong)) == {"glance": {"controller"}}


def test_molecule_follows_it_and_builds_what_a_role_needs(
    root: Path, script: Callable[[str], ModuleType]
) -> None:
    tool = script("tools/run_tests.py")

    def built(*roles: str) -> list[str]:
        names = [step.name.partition("-")[::2] for step in tool.molecule(root, roles)]
        return [role for verb, role in names if verb == "converge"]

    everything = built()
    assert set(everything) == {
        path.parent.name for path in root.glob("molecule/*/molecule.yml")
    } - {"default"}
    assert (everything[0], everything[-1]) == ("network", "operator")
    assert misplaced(everything) == []
    assert set(built("memcached")) == {"network", "base", "memcached"}
    assert set(built("swift")) == {"network", "swift", *registry.basis("swift", DESCRIBED)}
    assert built("network") == ["network"]
    assert built("operator") == everything


def test_the_guides_tables_follow_it(root: Path) -> None:
    page = (root / "docs/choose-services.md").read_text()
    table = page.partition("| service |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| (\w+) \|", table, re.M)
    assert sorted(named) == sorted(registry.optional(DESCRIBED))
    assert misplaced(named) == []
