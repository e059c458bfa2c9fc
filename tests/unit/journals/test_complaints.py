"""Complaints are found in journals, put together, and held against the list of known ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.journals import complaints, known
from tests.lab.journals.complaints import Complaint, Line

HEAD = "2026-11-30 22:33:47.123 812 ERROR ovsdbapp.event "
END = "neutron.common.utils.WaitTimeout: Timed out after 60 seconds"
STALL = "\n".join(
    HEAD + text
    for text in (
        f"[-] Unexpected exception in notify_loop: {END}",
        "Traceback (most recent call last):",
        '  File "/x/ovsdbapp/event.py", line 177, in notify_loop',
        "    match.run(event, row, updates)",
        END,
        "",
    )
)
STAGING = (
    "2026-11-30 22:01:02.003 640 WARNING glance.common.wsgi [-] Import methods are enabled but "
    "staging directory None does not exist; Imports will fail!"
)
POOL = (
    "2026-11-30 22:41:10.100 900 ERROR ceilometer.publisher.gnocchi [-] Gnocchi client exception "
    "updating resource type [volume_provider_pool] with ID [storage1@lvm#lvm]: Not Found (HTTP 404)"
)


def lines(*texts: str, unit: str = "nova-api", process: str = "7", priority: int = 6) -> list[Line]:
    return [Line(float(n), "host1", unit, process, priority, one) for n, one in enumerate(texts)]


def found(*texts: str, **how: Any) -> list[Complaint]:
    return complaints.complaints(lines(*texts, **how))


def test_an_error_and_its_traceback_are_one_complaint() -> None:
    (one,) = found(*STALL.splitlines())
    assert one.kind == "error"
    assert len(one.lines) == 6
    assert "notify_loop" in one.summary


def test_two_errors_of_one_moment_in_two_loggers_are_two_complaints() -> None:
    head = "2026-11-30 22:33:47.123 812 ERROR"
    assert len(found(f"{head} nova.a [-] first", f"{head} nova.b [-] second")) == 2


REMOTE = [
    HEAD + "[req-1] Unexpected error while running command.",
    "Command: sudo cinder-rtstool delete-initiator",
    "Traceback (most recent call last):",
    "ProcessExecutionError: Unexpected error while running command.",
    HEAD + "Traceback (most recent call last):",
    HEAD + END,
]


def test_lines_in_the_middle_of_a_record_are_its_text() -> None:
    (one,) = found(*REMOTE)
    assert [line.text for line in one.lines] == REMOTE


def test_lines_after_a_record_are_not() -> None:
    assert [one.kind for one in found(*REMOTE[:4])] == ["error", "traceback"]
    later = HEAD.replace("47.123", "48.999") + "something else"
    assert [one.kind for one in found(*REMOTE[:4], later)] == ["error", "traceback", "error"]


def test_records_of_two_processes_whose_lines_are_mixed_are_two_complaints() -> None:
    other = [text.replace(" 812 ", " 813 ") for text in STALL.splitlines()]
    well = "2026-11-30 22:33:47.200 814 INFO nova.wsgi [-] all is well"
    mixed = [text for pair in zip(STALL.splitlines(), other, strict=True) for text in pair]
    mixed.insert(5, well)
    assert [len(one.lines) for one in found(*mixed)] == [6, 6]


def test_errors_of_units_that_speak_at_once_are_kept_apart() -> None:
    mixed = [
        line
        for pair in zip(
            lines(*STALL.splitlines(), unit="neutron-ovn-agent"),
            lines(*STALL.splitlines(), unit="other"),
            strict=True,
        )
        for line in pair
    ]
    assert [len(one.lines) for one in complaints.complaints(mixed)] == [6, 6]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (STAGING, "configuration"),
        (POOL, "error"),
        ("2026-11-30 22:01:02.003 640 INFO nova.wsgi [-] 500 ERROR is only a word here", ""),
        ("2026-11-30 22:01:02.003 640 WARNING nova.virt [-] a host answers slowly", ""),
        (
            '2026-11-30 22:01:02.003 640 WARNING oslo_config.cfg [-] Deprecated: Option "auth_uri" '
            'from group "keystone_authtoken" is deprecated for removal',
            "configuration",
        ),
        ("2026-11-30 22:01:02.003 640 WARNING py.warnings [-] utcnow() is deprecated", ""),
        ("nova-api.service: Main process exited, code=dumped, status=6/ABRT", "failed"),
        ("nova-api.service: Failed with result 'exit-code'.", "failed"),
        ("Failed to start nova-api.service - Cairn: Compute (nova-api).", "failed"),
        (
            "/etc/systemd/system/nova-api.service:12: Unknown key 'Umask' in section [Service], "
            "ignoring.",
            "configuration",
        ),
        ("/usr/lib/tmpfiles.d/legacy.conf:14: Duplicate line for path, ignoring.", ""),
        ("2026-11-30 22:01:02 139 [ERROR] Aborted connection 12 to db: 'nova'", "error"),
        ("2026-11-30 22:01:02.1+00:00 [error] <0.231.0> missed heartbeats from client", "error"),
        ("2026-11-30T22:01:02.003Z|00012|ovsdb_idl|ERR|clustered database is not leader", "error"),
        ("[ALERT]    (812) : config : parsing [/etc/haproxy/haproxy.cfg:3]", "error"),
        ('198.18.0.10 "GET /v3/?error=1" status: 200 len: 12', ""),
    ],
)
def test_what_is_a_complaint(text: str, kind: str) -> None:
    priority = 4 if kind == "failed" else 6
    assert [one.kind for one in found(text, priority=priority)] == ([kind] if kind else [])


def test_a_line_that_its_program_calls_an_error_is_one() -> None:
    assert [one.kind for one in found("no word of it", priority=3)] == ["error"]
    assert found("no word of it", priority=4) == []


def test_a_traceback_outside_the_log_reaches_to_its_exception() -> None:
    texts = [
        "Traceback (most recent call last):",
        '  File "/x/service.py", line 3, in run',
        "    raise ValueError(1)",
        "ValueError: 1",
        "and then something else",
    ]
    (one,) = found(*texts)
    assert (one.kind, len(one.lines)) == ("traceback", 4)
    assert one.summary.endswith("ValueError: 1")
    (whole,) = found("\n".join(texts[:4]), texts[4])
    assert len(whole.lines) == 1


def test_journald_is_read_with_what_systemd_says_of_a_unit() -> None:
    records = [
        {"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": [104, 105, 255], "_PID": "5",
         "_SYSTEMD_UNIT": "a.service"},
        {"__REALTIME_TIMESTAMP": "2000000", "MESSAGE": "a.service: Failed with result 'signal'.",
         "_SYSTEMD_UNIT": "init.scope", "UNIT": "a.service", "PRIORITY": "4"},
        {"__REALTIME_TIMESTAMP": "3000000", "MESSAGE": None, "SYSLOG_IDENTIFIER": "kernel"},
    ]  # fmt: skip
    first, second, third = complaints.read("h", map(json.dumps, records))
    assert (first.text, first.time, first.unit) == ("hi\ufffd", 1.0, "a")
    assert (second.unit, second.priority) == ("a", 4)
    assert (third.unit, third.text) == ("kernel", "")


# -- the list of what is known --------------------------------------------------------------------


def entries_of(tmp_path: Path, text: str) -> list[known.Known]:
    path = tmp_path / "known.yml"
    path.write_text(text)
    return known.load(path)


ENTRY = "- {unit: 'ceilo*', text: 'updating .*#', reason: it is harmless for this test}\n"


def test_what_is_known_is_no_finding_and_counts_for_its_entry(tmp_path: Path) -> None:
    entries = entries_of(tmp_path, ENTRY)
    report = known.search(found(POOL, unit="ceilometer-notification"), entries)
    assert (report.unknown, report.stale) == ({}, [])
    assert entries[0].matched == 1


def test_the_same_of_another_unit_is_a_finding_and_the_entry_is_stale(tmp_path: Path) -> None:
    entries = entries_of(tmp_path, ENTRY)
    report = known.search(found(POOL, unit="other"), entries)
    assert report.stale == entries
    assert "other on host1 (error)" in str(report)


def test_a_seldom_entry_may_meet_nothing(tmp_path: Path) -> None:
    assert known.search([], entries_of(tmp_path, ENTRY.replace("}", ", seldom: true}"))).stale == []


def test_complaints_that_differ_in_times_and_ids_only_are_shown_once() -> None:
    again = POOL.replace("22:41:10.100 900", "23:01:10.517 901")
    report = known.search(found(POOL) + found(again), [])
    ((_, met),) = report.unknown.items()
    assert len(met) == 2
    assert str(report).startswith("2 x nova-api")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("- {unit: a, text: b}", "needs unit, text and reason"),
        ("- {unit: a, text: b, reason: it is harmless here, why: x}", "needs unit"),
        ("- {unit: a, text: b, reason: harmless}", "in a sentence"),
        ("- {unit: a, text: '(', reason: it is harmless here}", "is no pattern"),
        ("- {unit: a, text: '.*', reason: it is harmless here}", "matches everything"),
    ],
)
def test_an_entry_that_would_hide_too_much_is_refused(
    entry: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=text):
        entries_of(tmp_path, entry)


def test_the_list_itself_is_right() -> None:
    assert known.load()
