"""A host finds the lines of a request in its journal, and the domain in libvirt."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cairn.verify import steps
from cairn_host.probe import journal

REQUEST = "req-6d6c2f7e-0a7e-4f0e-9a55-0d6f0f2f7a10"


def record(message: Any, unit: str = "nova-compute.service", at: int = 1764000000250000) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(at), "_SYSTEMD_UNIT": unit, "MESSAGE": message})


def test_the_journal_is_read_once_for_the_window_and_the_units() -> None:
    argv = journal.command(10.5, 20, ["nova*", "keystone*"])
    assert argv[0] == "journalctl"
    assert {"--since=@10.500", "--until=@20.000", "--unit=nova*", "--unit=keystone*"} <= set(argv)


def test_lines_with_an_id_are_kept_with_time_and_unit() -> None:
    found = journal.select([record(f"INFO [{REQUEST}] done"), record("other")], [REQUEST], [])
    assert found["lines"] == [
        {"time": 1764000000.25, "unit": "nova-compute", "text": f"INFO [{REQUEST}] done"}
    ]


def test_token_lines_are_kept_without_an_id() -> None:
    line = '10.0.0.1 "GET /v3/auth/tokens" status: 200 len: 1 time: 2 ms [- r] agent: "nova/33 x"'
    found = journal.select([record(line, "keystone.service")], [REQUEST], [steps.SIGN_INS])
    assert found["lines"][0]["unit"] == "keystone"


def test_errors_are_kept_whatever_their_request() -> None:
    error = "2026-11-23 09:00:01.123 4711 ERROR nova.virt [None req-x] No space left on device"
    assert [one["text"] for one in journal.select([record(error)], [], ["x^"])["errors"]] == [error]


def test_a_message_of_bytes_is_text() -> None:
    found = journal.select([record(list(f"\x1b[0m{REQUEST}".encode()))], [REQUEST], [])
    assert REQUEST in found["lines"][0]["text"]


def test_a_flood_of_lines_is_cut() -> None:
    output = [record(f"{REQUEST} {n}") for n in range(journal.MOST_LINES + 5)]
    assert len(journal.select(output, [REQUEST], [])["lines"]) == journal.MOST_LINES


class RefusedError(Exception):
    """What libvirt raises."""


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("libvirt")
    module.libvirtError = RefusedError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "libvirt", module)
    return module


def connection(domains: dict[str, list[int]]) -> Any:
    def look_up(uuid: str) -> Any:
        if uuid not in domains:
            raise RefusedError
        return SimpleNamespace(info=lambda: domains[uuid], name=lambda: "instance-00000001")

    return SimpleNamespace(lookupByUUIDString=look_up, close=lambda: None)


@pytest.mark.usefixtures("libvirt")
def test_a_running_domain_is_described() -> None:
    there = connection({"id": [1, 131072, 131072, 1, 0]})
    assert journal.domain("id", lambda: there) == {
        "state": "running",
        "memory_mb": 128,
        "vcpus": 1,
        "name": "instance-00000001",
    }


@pytest.mark.usefixtures("libvirt")
def test_an_unknown_domain_is_nothing() -> None:
    assert journal.domain("id", lambda: connection({})) == {}


def test_a_host_without_libvirt_has_no_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    assert journal.domain("id") == {}
