"""The service as it stands on the controllers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

testinfra_hosts = ["ansible://controller"]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("example-unit")


def test_it_listens_on_the_management_address_only(
    site: Any, listeners: Callable[[int], set[str]]
) -> None:
    assert listeners(8999) == {site.address("management")}


def test_its_configuration_is_roots(host: Any) -> None:
    conf = host.file("/etc/example/example.conf")
    assert (conf.user, conf.mode) == ("root", 0o644)
