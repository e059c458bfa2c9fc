"""memcached, as seen by clients on the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

testinfra_hosts = ["ansible://controller"]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("memcached")


def test_it_listens_on_the_management_address_only(
    site: Any, listeners: Callable[[int], set[str]]
) -> None:
    assert listeners(11211) == {site.address("management")}


def test_it_speaks_tcp_and_no_udp(host: Any) -> None:
    assert ":11211" not in host.check_output("ss --no-header --numeric --listening --udp")


def test_it_answers(host: Any, site: Any) -> None:
    said = host.check_output(
        f"printf 'version\\r\\nquit\\r\\n' | curl --silent telnet://{site.address()}:11211"
    )
    assert said.startswith("VERSION ")
