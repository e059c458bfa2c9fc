"""cairn_site over the example, changed as operators change it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.plugins.loader import filter_loader, init_plugin_loader

from cairn.preflight.gather import operator_findings
from cairn.service import registry
from cairn.site import fact, variable_types

from .conftest import Write

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = {
    str(path.relative_to(ROOT / "inventories/example")): path.read_text()
    for path in (ROOT / "inventories/example").rglob("*.yml")
}
# Three machines for everything: the network hosts are the controllers.
SMALL = EXAMPLE["hosts.yml"].replace("network[1:2]:", "controller[1:3]:")


@pytest.fixture
def problems(hostvars: Write) -> Callable[..., list[str]]:
    """What cairn_site says of the example with some files changed."""

    def said(files: dict[str, str]) -> list[str]:
        found = hostvars({**EXAMPLE, **files})
        task_vars = {"hostvars": found, "groups": found._inventory.get_groups_dict()}
        site, problems = fact.site_of(task_vars)
        return list(fact.sentences([*fact.disagreements(site, found), *problems], task_vars))

    return said


def test_the_example_has_no_mistake(problems: Callable[..., list[str]]) -> None:
    assert problems({}) == []


def test_empty_variables_of_the_site_are_their_defaults(hostvars: Write) -> None:
    names = sorted(set(variable_types.OF_SITE) - {"cairn_secrets"})
    empty = "".join(f"{name}:\n" for name in names)
    found = hostvars({**EXAMPLE, "group_vars/all/zz.yml": empty})
    task_vars = {"hostvars": found, "groups": found._inventory.get_groups_dict()}
    _, site = fact.read(task_vars)
    assert (site["release"], site["region"]) == ("2026.1", "RegionOne")
    assert site["services"] == registry.optional(registry.descriptions())
    assert site["names"] == site["vips"]
    assert site["public_addresses"] == []


def test_a_host_in_two_groups_with_different_planes(problems: Callable[..., list[str]]) -> None:
    found = problems({"hosts.yml": SMALL})
    first = next(text for text in found if text.startswith("controller1"))
    assert first == (
        "controller1: cairn_host_planes is set differently by its groups controller "
        "(site/group_vars/controller.yml) and network (site/group_vars/network.yml), and only "
        "network's value would count; set the right value for this host in "
        "host_vars/controller1.yml (site/group_vars/network.yml)"
    )
    # What follows from it names the file in force, not the one that has the plane.
    (missing,) = (t for t in found if "controller1" in t and "plane storage is missing" in t)
    assert missing.endswith("(site/group_vars/network.yml)")


def test_its_own_file_settles_it(problems: Callable[..., list[str]]) -> None:
    planes = EXAMPLE["group_vars/controller.yml"].partition("cairn_host_planes")[2]
    own = {
        f"host_vars/controller{n}.yml": EXAMPLE[f"host_vars/controller{n}.yml"]
        + f"\ncairn_host_planes{planes}"
        for n in (1, 2, 3)
    }
    assert problems({"hosts.yml": SMALL, **own}) == []


def test_foreign_hosts_need_nothing_of_cairns(problems: Callable[..., list[str]]) -> None:
    more = "    switches: {hosts: {leaf1: }}\n    deployment: {hosts: {localhost: }}\n"
    assert problems({"hosts.yml": EXAMPLE["hosts.yml"] + more}) == []


def test_an_operator_that_has_only_what_is_said_for_all(
    hostvars: Write,
) -> None:
    """ansible_host of the example is counted by a number that the operator's machine has not."""
    files = {k: v for k, v in EXAMPLE.items() if k != "group_vars/operator.yml"}
    init_plugin_loader()
    filter_loader.add_directory(str(ROOT / "filter_plugins"))
    found = hostvars(files)
    groups = found._inventory.get_groups_dict()
    task_vars = {"hostvars": found, "groups": groups, "cairn_site": {"hosts": {}}}
    (finding,) = operator_findings(task_vars)
    assert (finding.host, finding.severity) == ("localhost", "error")
    assert "'cairn_host_number' is undefined" in finding.text
    assert "inventories/example/group_vars/operator.yml" in finding.remedy
