"""An instance in the lab that traffic can be made with, and what crosses each plane meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from cairn import proof_cloud, proof_reach, proof_volume

from guest.__main__ import build
from lab import network

INVENTORY = Path(__file__).resolve().parents[2] / "inventories/lab"
SECONDS = 300


class Planes:
    """Bytes that hosts of the lab receive and send on their planes, by the kernel's counters."""

    def __init__(self, on: Callable[..., str], site: dict[str, Any]) -> None:
        self.on, self.site = on, site
        self.crossed: dict[str, dict[str, int]] = {}

    def read(self, host: str) -> dict[str, int]:
        """Both directions of each plane's device."""
        rows = (line.partition(":") for line in self.on(host, "cat /proc/net/dev").splitlines())
        counts = {
            name.strip(): [int(n) for n in rest.split()] for name, colon, rest in rows if colon
        }
        devices = self.site["hosts"][host]["devices"]
        return {plane: counts[name][0] + counts[name][8] for plane, name in devices.items()}

    @contextmanager
    def during(self, *hosts: str) -> Iterator[Planes]:
        """Count what crosses the planes of some hosts; afterwards it is in `crossed`."""
        before = {host: self.read(host) for host in hosts}
        yield self
        for host in hosts:
            after = self.read(host)
            self.crossed[host] = {plane: after[plane] - n for plane, n in before[host].items()}

    def assert_all_on(self, plane: str, least: int) -> None:
        """So many bytes crossed this plane of each host, and next to nothing the others."""
        for host, crossed in self.crossed.items():
            assert crossed[plane] >= least, (host, crossed)
            others = {name: count for name, count in crossed.items() if name != plane}
            assert max(others.values()) < least / 4, (host, crossed)


@pytest.fixture
def planes(on: Callable[..., str], lab_site: dict[str, Any]) -> Planes:
    """The planes of the lab's hosts."""
    return Planes(on, lab_site)


@pytest.fixture(scope="module")
def admin() -> Iterator[Any]:
    """The operator's connection; whatever runs meanwhile is inside the lab's network."""
    build()  # the test guest, while package mirrors can be reached
    inside = network.path(os.environ.get("CAIRN_LAB", "lab"))
    here, there = (os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", inside))
    os.setns(there, os.CLONE_NEWNET)
    try:
        yield proof_cloud.admin_cloud(INVENTORY / ".operator/clouds.yaml", "cairn")
    finally:
        os.setns(here, os.CLONE_NEWNET)
        os.close(here)
        os.close(there)


@pytest.fixture(scope="module")
def instance(
    admin: Any, lab_site: dict[str, Any], script: Callable[[str], ModuleType]
) -> Iterator[proof_cloud.Run]:
    """An instance that answers on its floating IP, with a volume where the cloud has some."""
    verify = script("plugins/modules/cairn_verify.py")
    inventory = yaml.safe_load((INVENTORY / "group_vars/all/planes.yml").read_text())
    external = {
        "physical_network": "physnet1",
        **inventory["cairn_provider_networks"]["external"],
    }
    run = proof_cloud.new_run()
    try:
        proof_cloud.prepare(admin, run, build(), external)
        proof_volume.prepare(admin, run, SECONDS)
        proof_cloud.boot(admin, run, SECONDS)
        page = lambda: proof_reach.fetch(run.floating_ip, "/cgi-bin/status")  # noqa: E731
        proof_cloud.wait("the instance's page", SECONDS, page)
        yield run
    finally:
        proof_cloud.sweep(admin, verify.SWEEPERS, first=verify.FIRST)
