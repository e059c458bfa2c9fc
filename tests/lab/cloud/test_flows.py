"""The flows against reality: what listens in the lab."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cairn.site import flows
from tests.lab.cloud import sockets

pytestmark = pytest.mark.lab
On = Callable[..., str]


def test_every_socket_is_on_the_plane_of_its_flow(
    on: On, lab_site: dict[str, Any], lab_hosts: list[str]
) -> None:
    command = "ss --no-header --listening --numeric --tcp --udp --processes"
    with ThreadPoolExecutor() as pool:
        texts = list(pool.map(lambda host: on(host, command), lab_hosts))
    found = {host: sockets.listeners(text) for host, text in zip(lab_hosts, texts, strict=True)}
    # Every host lets its operator in: the list is no empty one.
    assert all(any(listener.port == 22 for listener in listening) for listening in found.values())
    listed = flows.read()
    assert [
        s for host in lab_hosts for s in sockets.strays(found[host], listed, lab_site, host)
    ] == []
