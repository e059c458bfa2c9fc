"""The 24 steps are found in what the services log, and a missing one is explained."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cairn.verify import trace as verify_trace
from cairn.verify.trace import Fact, Line, Trace

BEGAN = 1764000000.0
GLOBAL = "req-6d6c2f7e-0a7e-4f0e-9a55-0d6f0f2f7a10"
LOCAL = "req-0f2b8c1d-3f52-4d0b-8f39-2a6b7f0f8f11"
SERVER = "3c0a2c3e-8a5d-4a9c-9a53-0a1b2c3d4e5f"
IMAGE = "8f1d0c2b-7c1a-4b0e-8d61-aa5500ff1122"
USER, PROJECT = "u" * 32, "9" * 32
IDS = {
    "server": SERVER,
    "image": IMAGE,
    "user": USER,
    "project": PROJECT,
    "request": LOCAL,
    "host": "compute1",
}
KSM = "keystonemiddleware.auth_token/12.0.0"


def access(after: float, unit: str, request: str, status: int, ids: str, agent: str) -> Line:
    """A line of a uWSGI unit's request log."""
    text = f'198.18.0.10 "{request}" status: {status} len: 512 time: 31 ms [{ids}] agent: "{agent}"'
    return Line(BEGAN + after, "controller1", unit, text)


def oslo(
    after: float, host: str, unit: str, logger: str, text: str, *, level: str = "INFO"
) -> Line:
    """A line in the default format of oslo.log, with the request's context."""
    context = f"[{GLOBAL} {LOCAL} {USER} {PROJECT} - - default default]"
    prefix = f"2026-11-23 09:00:01.123 4711 {level} {logger} {context}"
    return Line(BEGAN + after, host, unit, f"{prefix} {text}")


LINES = [
    access(0.1, "keystone", "POST /v3/auth/tokens", 201, f"{GLOBAL} req-1", "keystoneauth1/5.13"),
    access(0.4, "keystone", "GET /v3/auth/tokens", 200, "- req-2", f"nova/33.0.2 {KSM}"),
    access(1.1, "nova-api", "POST /v2.1/servers", 202, f"{GLOBAL} {LOCAL}", "openstacksdk/4.9"),
    oslo(1.1, "controller1", "nova-api", "nova.api.openstack.requestlog",
         '198.18.0.10 "POST /v2.1/servers" status: 202 len: 390 microversion: 2.90 time: 0.9'),
    oslo(1.5, "controller1", "nova-scheduler", "nova.scheduler.manager",
         f"Starting to schedule for instances: ['{SERVER}']", level="DEBUG"),
    access(1.8, "placement-api", "GET /allocation_candidates?limit=1000", 200,
           f"{GLOBAL} req-4", "nova-scheduler"),
    oslo(2.0, "controller1", "nova-scheduler", "nova.scheduler.manager",
         "Weighed [WeighedHost [host: (compute1, compute1), weight: 0.0]]", level="DEBUG"),
    access(2.2, "placement-api", f"PUT /allocations/{SERVER}", 204, f"{GLOBAL} req-5", "nova"),
    oslo(2.6, "controller1", "nova-conductor", "nova.conductor.manager",
         f"[instance: {SERVER}] Selected host: compute1; Selected node: compute1; Alternates: []",
         level="DEBUG"),
    oslo(3.2, "compute1", "nova-compute", "nova.compute.claims",
         f"[instance: {SERVER}] Claim successful on node compute1"),
    access(4.0, "neutron-api", "POST /v2.0/ports", 201, f"{GLOBAL} req-6", "nova-compute"),
    access(4.9, "glance-api", f"GET /v2/images/{IMAGE}", 200, f"{GLOBAL} req-7", "glanceclient"),
    access(5.0, "keystone", "GET /v3/auth/tokens", 200, "- req-8", f"glance/32.0.0 {KSM}"),
    access(5.1, "glance-api", f"GET /v2/images/{IMAGE}/file", 200, f"{GLOBAL} req-9", "glance"),
    oslo(11.0, "compute1", "nova-compute", "nova.virt.libvirt.driver",
         f"[instance: {SERVER}] Instance spawned successfully."),
]  # fmt: skip

FACTS = {
    name: Fact(name, BEGAN + after, text)
    for name, after, text in [
        ("token", 0.2, "a token for user, project, roles member; a catalog of 5 services"),
        ("accepted", 1.2, f"HTTP 202, instance {SERVER}"),
        ("owner", 1.2, "the instance is of the user"),
        ("record", 1.4, "status BUILD"),
        ("action", 2.5, f"action create of {LOCAL} began"),
        ("build_event", 3.0, "event compute__do_build_and_run_instance began on compute1"),
        ("allocation", 9.0, "DISK_GB 1, MEMORY_MB 128, VCPU 1 on compute1"),
        ("flavor", 9.0, "1 processor, 128 MB, 1 GB disk"),
        ("port", 9.0, "port with 10.254.254.7 is ACTIVE on compute1"),
        ("domain", 11.5, "instance-00000001 is running on compute1"),
    ]
}


def trace(**changed: Any) -> Trace:
    """A creation that went well, or as `changed`."""
    good = Trace(
        began=BEGAN,
        accepted=BEGAN + 1.2,
        ids=IDS,
        requests=[GLOBAL, LOCAL],
        facts=FACTS,
        lines=LINES,
        services=frozenset({"identity", "compute", "image", "network", "placement"}),
    )
    return dataclasses.replace(good, **changed)


def states(outcomes: list[verify_trace.Outcome]) -> dict[int, str]:
    return {one.step.number: one.state for one in outcomes}


def outcome(number: int, **changed: Any) -> verify_trace.Outcome:
    return verify_trace.follow(trace(**changed))[number - 1]


def without(*fragments: str) -> list[Line]:
    kept = [line for line in LINES if not any(one in line.text for one in fragments)]
    assert len(kept) < len(LINES)
    return kept


def test_there_are_24_steps_in_order() -> None:
    assert [step.number for step in verify_trace.STEPS] == list(range(1, 25))


def test_a_good_creation_proves_every_step_but_those_of_cinder() -> None:
    found = states(verify_trace.follow(trace()))
    assert found.pop(22) == found.pop(23) == "absent"
    assert set(found.values()) == {"proved"}


def test_evidence_names_its_host_and_unit_and_the_words_of_the_service() -> None:
    selected = outcome(12)
    assert selected.where == "controller1 nova-conductor"
    weighed = outcome(10)
    assert weighed.text == "Weighed [WeighedHost [host: (compute1, compute1), weight: 0.0]]"
    assert weighed.time == BEGAN + 2.0


def test_another_requests_line_is_no_evidence() -> None:
    other = [
        dataclasses.replace(line, text=line.text.replace(GLOBAL, "req-other").replace(LOCAL, "-"))
        for line in LINES
    ]
    found = states(verify_trace.follow(trace(lines=other)))
    assert found[13] == found[18] == found[20] == "missing"


def test_a_token_check_long_after_the_answer_is_not_this_requests() -> None:
    late = [
        dataclasses.replace(line, time=line.time + 60) if '"GET /v3/auth' in line.text else line
        for line in LINES
    ]
    assert outcome(4, lines=late).state == "missing"


def test_a_token_check_of_another_service_is_not_novas() -> None:
    assert outcome(4, lines=without('agent: "nova/33.0.2')).state == "missing"


def test_without_debug_lines_placement_tells_of_the_scheduler() -> None:
    quiet = without("DEBUG")
    assert outcome(9, lines=quiet).where == "controller1 placement-api"
    assert outcome(10, lines=quiet).state == "proved"
    assert outcome(12, lines=quiet).where == "nova's list of actions"


def test_a_cached_token_check_is_shown_as_such() -> None:
    cached = outcome(19, lines=without('agent: "glance/32.0.0'))
    assert "still cached" in cached.text


@pytest.mark.parametrize(
    ("number", "gone"),
    [
        (4, {"lines": without('"GET /v3/auth/tokens')}),
        (8, {"facts": {k: v for k, v in FACTS.items() if k != "action"}}),
        (13, {"lines": without("nova.compute.claims", "nova.virt.libvirt")}),
        (17, {"lines": without("Claim successful")}),
        (18, {"lines": without("/v2/images")}),
        (20, {"lines": without("/v2.0/ports")}),
        (21, {"facts": {k: v for k, v in FACTS.items() if k != "port"}}),
        (24, {"facts": {k: v for k, v in FACTS.items() if k != "domain"}}),
    ],
)
def test_a_step_without_its_evidence_is_missing(number: int, gone: dict[str, Any]) -> None:
    assert outcome(number, **gone).state == "missing"


ATTACHMENT = "/v3/attachments/6f3b2c1d-0000-4000-8000-000000000001"
VOLUME_LINES = [
    access(6.0, "cinder-api", f"PUT {ATTACHMENT}", 200, f"{GLOBAL} req-10", "nova-compute"),
    access(7.0, "cinder-api", f"POST {ATTACHMENT}/action", 204, f"{GLOBAL} req-11", "nova-compute"),
]


@pytest.mark.parametrize(
    ("lines", "states"),
    [
        ([], ["missing", "missing"]),
        (VOLUME_LINES[:1], ["proved", "missing"]),
        (VOLUME_LINES, ["proved", "proved"]),
        ([dataclasses.replace(one, text=one.text.replace(GLOBAL, "req-x")) for one in VOLUME_LINES],
         ["missing", "missing"]),
    ],
)  # fmt: skip
def test_a_deployed_cinder_is_looked_for(lines: list[Line], states: list[str]) -> None:
    known = {"lines": [*LINES, *lines], "services": frozenset({"block-storage"})}
    assert [outcome(number, **known).state for number in (22, 23)] == states


def test_ids_that_a_failed_creation_never_got_find_nothing() -> None:
    ids = {k: v for k, v in IDS.items() if k != "host"}
    facts = {k: v for k, v in FACTS.items() if k != "build_event"}
    assert outcome(12, ids=ids, facts=facts).state == "missing"


def test_the_table_shows_number_seconds_title_and_evidence() -> None:
    rows = verify_trace.table(verify_trace.follow(trace()), BEGAN)
    assert len(rows) == 48
    at = rows.index("✓ 17   3.2 s  nova-conductor answers with memory, processors and disk")
    assert rows[at + 1].strip() == "compute1 nova-compute: Claim successful"
    assert rows[42] == "· 22          nova-compute asks cinder for the volume"
    assert rows[43].strip() == "not deployed"


def test_a_proved_creation_has_no_failure() -> None:
    assert verify_trace.failure(verify_trace.follow(trace()), trace(), [], [], "") is None


def test_a_failure_names_step_expectation_place_and_last_lines() -> None:
    broken = trace(lines=without("Claim successful"))
    error = Line(
        BEGAN + 6,
        "compute1",
        "nova-compute",
        "2026-11-23 09:00:01.123 4711 ERROR nova.virt [None req-x] No space left",
    )
    text = (
        verify_trace.failure(
            verify_trace.follow(broken), broken, [error], ["compute2"], "boot: no disk"
        )
        or ""
    )
    assert text.splitlines()[0] == "boot: no disk"
    assert "step 17, nova-conductor answers with memory" in text
    assert "expected: nova-compute claims them on its host" in text
    assert "looked in: the journal of nova-compute* for /{server}" in text
    assert "no journal could be read on: compute2" in text
    assert "compute1 nova-compute: ERROR nova.virt: No space left" in text
    assert "nova-compute: INFO nova.virt.libvirt.driver: Instance spawned" in text


def test_a_problem_alone_is_a_failure() -> None:
    text = verify_trace.failure(verify_trace.follow(trace()), trace(), [], [], "no ping")
    assert (text or "").splitlines()[0] == "no ping"


def test_lines_of_all_hosts_are_put_in_order() -> None:
    results = {
        "b": {"lines": [{"time": 2.0, "unit": "u", "text": "second"}]},
        "a": {"lines": [{"time": 1.0, "unit": "u", "text": "first"}]},
        "off": {"unreachable": True},
    }
    assert [line.text for line in verify_trace.gathered(results)] == ["first", "second"]


def test_what_services_complain_of_meanwhile_is_shown_once_without_its_traceback() -> None:
    stall = "Unexpected exception in notify_loop: WaitTimeout: Timed out after 60 seconds"
    head = "2026-11-23 09:00:01.123 4711 ERROR ovsdbapp.event"
    lines = [
        oslo(1, "compute1", "neutron-ovn-agent", "ovsdbapp.event", stall, level="ERROR"),
        Line(BEGAN, "compute1", "neutron-ovn-agent", f"{head} Traceback (most recent call last):"),
        Line(BEGAN, "compute1", "neutron-ovn-agent", f"{head}     match.run(event, row)"),
        oslo(2, "compute1", "neutron-ovn-agent", "ovsdbapp.event", stall, level="ERROR"),
    ]
    assert verify_trace.complaints(lines)[1:] == [
        f"! compute1 neutron-ovn-agent: {stall} (2 times)"
    ]
    assert verify_trace.complaints([]) == []
    many = [Line(BEGAN, "c1", "nova-api", f"CRITICAL: {n}") for n in range(30)]
    assert verify_trace.complaints(many)[-1] == "! and 18 more"
