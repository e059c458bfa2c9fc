"""Variables of the site of a wrong type are mistakes, never another value or a traceback."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from cairn.site import variable_types
from cairn.site.planes import SITE_VARIABLES, read_site
from lab.inventory import site as lab_site
from lab.run import LabError

ROOT = Path(__file__).resolve().parents[3]
DECLARED = yaml.safe_load(
    (ROOT / "cairn/site/variables.yml").read_text()
)["inventory"]  # fmt: skip
OF_PLANES = {*SITE_VARIABLES, "cairn_host_number", "cairn_nics", "cairn_bonds", "cairn_host_planes"}
WRONG = [True, False, 0, -1, 3.5, "", " ", "x y", [], ["x"], [1], {}, {"x": 1}]
TEXTS = (
    *("cairn_region", "cairn_internal_name", "cairn_public_name", "cairn_operator_dir"),
    *("cairn_cloud_name", "cairn_pypi_index", "cairn_http_proxy", "cairn_https_proxy"),
)
# What of these each variable may be.
RIGHT: dict[str, list[Any]] = {
    "cairn_first_host_number": [0],
    "cairn_bonds": [{}],
    "cairn_provider_networks": [{}],
    "cairn_services": [[], ["x"]],  # names are cairn_site's to judge
    "cairn_public_address": ["x y", [], ["x"]],
    "cairn_no_proxy": ["x y", [], ["x"]],
    "cairn_secrets": [{}, {"x": 1}],
    "cairn_minimum_memory_mb": [{}],
    "cairn_minimum_disk_mb": [{}],
    "cairn_batches": [[1]],
    "cairn_take_over": [True, False],
    # What is on NICs that a host does not have is an error of cairn_host_planes.
    "cairn_nics": [{}],
    **{name: ["x y"] for name in TEXTS},
}


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def test_every_variable_of_the_site_has_a_type() -> None:
    assert set(DECLARED) - OF_PLANES == {
        name
        for name in (*variable_types.OF_SITE, *variable_types.OF_HOST)
        if name.startswith("cairn_")
    }


@pytest.mark.parametrize("name", sorted(DECLARED))
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_wrong_type_is_an_error(inventory: Any, name: str, value: Any) -> None:
    fine = any(same(value, right) for right in RIGHT.get(name, ()))
    if name in OF_PLANES:
        inventory.everywhere(name, value)
        problems = read_site(inventory.hosts, inventory.groups)[1]
    else:
        judges = (
            variable_types.OF_SITE if name in variable_types.OF_SITE else variable_types.OF_HOST
        )
        problems = variable_types.check({name: value}, judges)
    assert (name in {p.variable for p in problems}) is not fine, problems


@pytest.mark.parametrize("name", [n for n in variable_types.OF_HOST if not n.startswith("cairn_")])
@pytest.mark.parametrize("value", [True, False, -1, 3.5, "", {}, {"x": 1}, [1]], ids=repr)
def test_what_preflight_reads_of_roles_has_its_type(name: str, value: Any) -> None:
    problems = variable_types.check({name: value}, variable_types.OF_HOST, "compute1")
    wrong = not (name == "swift_batches" and value == [1])
    assert [(p.variable, p.host) for p in problems] == [(name, "compute1")] * wrong


def test_no_value_is_shown_that_could_be_secret() -> None:
    for value in ("hunter2", ["hunter2"], {"hunter2": "hunter2"}):
        for problem in variable_types.check(
            dict.fromkeys((*variable_types.OF_SITE, *variable_types.OF_HOST), value),
            {**variable_types.OF_SITE, **variable_types.OF_HOST},
        ):
            assert "hunter2" not in problem.text


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_null_is_the_default(inventory: Any, name: str) -> None:
    if name in ("cairn_planes", "cairn_host_number", "cairn_nics", "cairn_host_planes"):
        return  # these a site must have
    if name in OF_PLANES:
        unset = read_site(inventory.hosts, inventory.groups)
        inventory.everywhere(name, None)
        if name == "cairn_provider_networks":
            assert read_site(inventory.hosts, inventory.groups)[1] == []
        else:
            assert read_site(inventory.hosts, inventory.groups) == unset
    else:
        assert (
            variable_types.check({name: None}, {**variable_types.OF_SITE, **variable_types.OF_HOST})
            == []
        )


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    result = copy.deepcopy(value)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return result


@pytest.mark.parametrize("variable", ["cairn_planes", "cairn_provider_networks", "cairn_nics"])
@pytest.mark.parametrize("value", [True, False, 3.5, "", " ", "x y", [1], {"x": 1}], ids=repr)
def test_a_wrong_value_anywhere_inside_is_an_error(
    inventory: Any, variable: str, value: Any
) -> None:
    given = inventory.hosts["compute1"][variable]
    for path in leaves(given):
        changed = copy.deepcopy(inventory.hosts)
        for host in changed if variable != "cairn_nics" else ["compute1"]:
            changed[host][variable] = put(given, path, value)
        assert read_site(changed, inventory.groups)[1], path


def test_texts_of_numbers_count_as_numbers(inventory: Any) -> None:
    inventory.everywhere("cairn_first_host_number", "11")
    site, problems = read_site(inventory.hosts, inventory.groups)
    assert problems == []
    assert site.hosts["controller1"].addresses["management"] == "10.0.0.11"


@pytest.mark.parametrize("first", ["1", 1])
def test_cairn_the_lab_and_ansible_host_count_alike(
    inventory: Any, script: Callable[[str], ModuleType], first: Any
) -> None:
    inventory.everywhere("cairn_first_host_number", first)
    for variables in inventory.hosts.values():
        variables["cairn_host_number"] -= 10
    site, problems = read_site(inventory.hosts, inventory.groups)
    assert problems == []
    filters = script("filter_plugins/planes.py")
    made = lab_site(inventory.hosts)
    for name, host in site.hosts.items():
        address = host.addresses["management"]
        assert str(made.host(name).address.ip) == address
        planes = inventory.hosts[name]["cairn_planes"]
        assert filters.plane_address(planes, "management", host.number, first) == address


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *[("cairn_first_host_number", v) for v in (True, "x", 3.5, [], "{{ 7 }}")],
        *[("cairn_host_number", v) for v in (True, "x", 3.5, [], None)],
        *[("lab_memory_mb", v) for v in (True, "x", 0, 3.5, [], "")],
        *[("lab_cpus", v) for v in (True, "x", 0)],
        *[("lab_nice", v) for v in (True, -1, 20)],
        *[("lab_system_disk_gb", v) for v in (True, 0)],
        *[("lab_disks", v) for v in (True, 8, "8", [0], [True], ["x"])],
        *[("lab_nic_mtu", v) for v in (True, "x", 0)],
    ],
)
def test_the_lab_tells_wrong_types(inventory: Any, variable: str, value: Any) -> None:
    inventory.hosts["compute1"][variable] = value
    with pytest.raises(LabError, match=rf"(compute1|site): .*{re.escape(variable)}"):
        lab_site(inventory.hosts)


@pytest.mark.parametrize("value", ["2099.1", "2026", 2026.5])
def test_a_release_without_locks_is_an_error_that_names_the_others(value: Any) -> None:
    (problem,) = variable_types.check({"cairn_release": value}, variable_types.OF_SITE)
    assert problem.text.endswith("it must be one of 2026.1")
    assert not variable_types.check({"cairn_release": 2026.1}, variable_types.OF_SITE)
