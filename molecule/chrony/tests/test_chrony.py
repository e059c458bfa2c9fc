"""Controllers serve the time; all other hosts use the controllers only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

testinfra_hosts = [
    f"ansible://{group}" for group in ("controller", "network", "compute", "storage")
]


def sources(host: Any) -> set[str]:
    """Return the host's time sources."""
    lines = host.check_output("chronyc -c -n sources").splitlines()
    return {line.split(",")[2] for line in lines}


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("chrony")


def test_controllers_answer_on_the_management_plane_only(
    host: Any, site: Any, listeners: Callable[[int], set[str]]
) -> None:
    wanted = {site.address("management")} if "controller" in site.groups else set()
    assert listeners(123) == wanted


def test_the_others_ask_the_controllers(host: Any, site: Any) -> None:
    if "controller" in site.groups:
        pytest.skip("controllers ask the world")
    groups = host.ansible.get_variables()["groups"]
    found = {host.check_output(f"getent ahostsv4 {c}").split()[0] for c in groups["controller"]}
    assert sources(host) == found


def test_the_others_are_in_step(host: Any, site: Any) -> None:
    if "controller" in site.groups:
        pytest.skip("a controller may be all alone with its clock")
    stratum, offset = host.check_output("chronyc -c -n tracking").split(",")[2:5:2]
    assert int(stratum) > 0
    assert abs(float(offset)) < 0.5
