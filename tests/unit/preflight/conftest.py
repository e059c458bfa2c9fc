"""A healthy site and what its hosts say, to be spoilt by the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cairn.preflight.finding import Finding
from tests.findings_page import is_on_the_page

GIB = 1024


@pytest.fixture
def site() -> dict[str, Any]:
    """A `cairn_site` with two hosts."""

    def host(group: str, number: int) -> dict[str, Any]:
        return {
            "groups": [group],
            "number": number,
            "network": f"hash{number}",
            "addresses": {"management": f"10.0.0.{number}", "storage": f"10.0.20.{number}"},
            "devices": {"management": "mgmt0", "storage": "stor0.20"},
            "nics": {
                "mgmt0": {"mac": f"52:54:00:00:00:{number}", "mtu": 1500},
                "stor0": {"mac": f"52:54:00:00:14:{number}", "mtu": 9000},
            },
        }

    return {
        "planes": {"management": {"mtu": 1500}, "storage": {"mtu": 9000}},
        "hosts": {"controller1": host("controller", 11), "compute1": host("compute", 13)},
        "services": [],
        "names": {"internal": "api.internal", "public": "10.0.30.10"},
        "vips": {"internal": "10.0.0.10", "public": "10.0.30.10"},
    }


def healthy(number: int) -> dict[str, Any]:
    def nic(mac: str, mtu: int) -> dict[str, Any]:
        return {
            "mac": mac,
            "kind": "",
            "mtu": mtu,
            "max_mtu": 9216,
            "up": True,
            "link": True,
            "addresses": [],
        }

    return {
        "os": {"id": "debian", "version": "13", "codename": "trixie"},
        "python": "3.13.5",
        "arch": "x86_64",
        "memory_mb": 64 * GIB,
        "cpus": 8,
        "cpu_flags": ["vmx"],
        "filesystems": {"/": {"size_mb": 100 * GIB, "free_mb": 80 * GIB}},
        "disks": {},
        "nics": {
            "mgmt0": nic(f"52:54:00:00:00:{number}", 1500),
            "stor0": nic(f"52:54:00:00:14:{number}", 9000),
        },
        "listening": [
            {"port": 22, "protocol": "tcp", "address": "0.0.0.0", "unit": "ssh.service"}  # noqa: S104
        ],
        "folders": {},
        "network": {"hash": f"hash{number}", "unconfirmed": False, "drift": []},
        "time": 1000.5,
        "clock": [1000.0, 1001.0],
        "mirrors": {"http://mirror.example/debian": ""},
        "resolved": {"api.internal": ["10.0.0.10"]},
        "services": {},
        "dpkg_unfinished": False,
        "peers": [],
    }


@pytest.fixture
def host() -> dict[str, Any]:
    """A `cairn_host` of compute1 with nothing wrong."""
    return healthy(13)


@pytest.fixture
def hosts(host: dict[str, Any]) -> dict[str, Any]:
    """`cairn_host` of both hosts."""
    return {"controller1": healthy(11), "compute1": host}


@pytest.fixture(autouse=True)
def findings_are_on_the_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every finding that a check makes in a test is on the page of findings, as it is shown."""
    made: list[Finding] = []
    mask = Finding.__post_init__

    def note(finding: Finding) -> None:
        mask(finding)
        if "/cairn/preflight/" in sys._getframe(2).f_code.co_filename:
            made.append(finding)

    monkeypatch.setattr(Finding, "__post_init__", note)
    yield
    missing = [f for f in made if not is_on_the_page(f.check, f.severity, f.text, f.remedy)]
    assert missing == []
