"""Searches of a lab's journals: on the hosts, and each from where the one before ended."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.lab.journals import __main__ as program
from tests.lab.journals import complaints, known, lab

HEAD = re.compile(r"^2026-11-30 \S+ 812 ERROR nova.a \[-\] ")


class Host:
    """Stands for a cloud of one host, whose journalctl prints a file."""

    name = "stand-in"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[dict[str, str]] = []
        self.asked = ""
        tool = folder / "journalctl"
        tool.write_text(f"#!/bin/sh\ncat {folder}/journal\n")
        tool.chmod(0o755)

    def say(self, when: float, text: str, unit: str = "nova-api") -> None:
        self.records.append(
            {
                "__REALTIME_TIMESTAMP": str(int(when * 1e6)),
                "MESSAGE": text,
                "_SYSTEMD_UNIT": f"{unit}.service",
                "_PID": "7",
            }
        )

    def fail(self, when: float, text: str) -> None:
        """Say something as oslo.log says an error."""
        self.say(when, f"2026-11-30 22:33:{when % 60:06.3f} 812 ERROR nova.a [-] {text}")

    def on(self, host: str, command: str, timeout: float = 0) -> str:
        self.asked = command
        (self.folder / "journal").write_text("\n".join(map(json.dumps, self.records)))
        path = f"{self.folder}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", command],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(lab, "hosts", lambda _cloud: ["controller1"])
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    return Host(tmp_path)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock shows, as its one item."""
    clock = [1000.0]
    monkeypatch.setattr(lab, "time", SimpleNamespace(time=lambda: clock[0]))
    return clock


def new(host: Host) -> list[str]:
    """What the next search finds, without heads."""
    found = lab.search_new(host).unknown.values()  # type: ignore[arg-type]
    return sorted(HEAD.sub("", one.text) for met in found for one in met)


def test_a_host_searches_its_own_journal_and_sends_only_what_is_wrong(host: Host) -> None:
    host.say(1, "2026-11-30 22:33:47.123 812 INFO nova.a [-] all is well")
    for text in ("Traceback (most recent call last):", "  File x", "ValueError: 1"):
        host.say(2, text)
    (one,) = lab.heard(host, None)  # type: ignore[arg-type]
    assert (one.kind, len(one.lines), one.lines[0].host) == ("traceback", 3, "controller1")
    assert "all is well" not in host.on("controller1", host.asked)
    assert "--boot" in host.asked


def test_a_journal_that_cannot_be_read_is_no_journal_without_complaints(host: Host) -> None:
    (host.folder / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        lab.heard(host, None)  # type: ignore[arg-type]


def test_each_search_goes_on_where_the_one_before_ended(host: Host, now: list[float]) -> None:
    host.fail(999, "of another day")
    lab.set_mark(host.name)
    host.fail(1001, "while it was deployed")
    now[0] = 1002
    assert new(host) == ["while it was deployed"]
    host.fail(1003, "while it was proved")
    now[0] = 1004
    assert new(host) == ["while it was proved"]
    assert new(host) == []


def test_a_complaint_belongs_to_the_search_in_whose_time_it_begins(
    host: Host, now: list[float]
) -> None:
    lab.set_mark(host.name)
    host.say(1001.5, "Traceback (most recent call last):")
    host.say(1002.5, "ValueError: 1")
    host.fail(1002.7, "said while the first search runs")
    now[0] = 1002
    assert new(host) == ["Traceback (most recent call last):\nValueError: 1"]
    now[0] = 1004
    assert new(host) == ["said while the first search runs"]


def test_an_entry_of_the_list_that_one_of_the_searches_has_met_is_met(
    host: Host, now: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "known.yml"
    path.write_text(
        "- {unit: nova-api, text: 'first', reason: it is harmless for this test}\n"
        "- {unit: nova-api, text: 'never', reason: it is harmless for this test}\n"
    )
    entries = known.load
    monkeypatch.setattr(known, "load", lambda: entries(path))
    lab.set_mark(host.name)
    host.fail(1001, "first")
    for now[0] in (1002, 1003):
        report = lab.search_new(host)  # type: ignore[arg-type]
        assert [entry.pattern.pattern for entry in report.stale] == ["never"]
    lab.set_mark(host.name)
    assert len(lab.search_new(host).stale) == 2  # type: ignore[arg-type]


def test_the_command_says_what_nobody_knows_and_fails(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "Cloud", lambda *_about: host)
    monkeypatch.delenv("CAIRN_LAB", raising=False)
    assert program.main(["--boot"]) == 0
    assert capsys.readouterr().out.startswith("no complaint that is not known\n")
    host.fail(1001, "first")
    assert program.main(["--boot"]) == 1
    assert "1 x nova-api on controller1 (error)" in capsys.readouterr().out
    assert complaints.TRACEBACK not in host.on("controller1", host.asked)
