"""Meters of the instance and the volume: heard on the queue, read in gnocchi as the user."""

from __future__ import annotations

from json import dumps
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from keystoneauth1.exceptions import EndpointNotFound
from openstack import exceptions

from cairn.verify import meters, phases
from cairn.verify import run as verify_run
from cairn.verify.run import ProofError, Run

CPU = "/v1/resource/instance/i1/metric/cpu/measures"
SIZE = "/v1/resource/volume/v1/metric/volume.size/measures"
MEASURES = [["2026-11-23T10:00:00+00:00", 300.0, 12.0], ["2026-11-23T10:05:00+00:00", 300.0, 15.0]]


class Session:
    """A keystone session that knows gnocchi's answers: path to status and body."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.sent: Any = None
        self.endpoint = True

    def get(self, path: str, **how: Any) -> Any:
        return self.request("GET", path, **how)

    def delete(self, path: str, **how: Any) -> Any:
        return self.request("DELETE", path, **how)

    def request(
        self, verb: str, path: str, endpoint_filter: Any, raise_exc: bool, json: Any = None
    ) -> Any:
        if not self.endpoint:
            raise EndpointNotFound("no metric")
        assert endpoint_filter["service_type"] == "metric"
        assert raise_exc is False
        self.asked.append((verb, path))
        self.sent = json
        status, body = self.answers.get(path, (404, {}))
        answer = requests.Response()
        answer.status_code, answer.url = status, path
        answer.headers["content-type"] = "application/json"
        answer._content = dumps(body).encode()
        answer.request = requests.Request(verb, f"https://gnocchi{path}").prepare()
        return answer


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session()
    monkeypatch.setattr(meters, "user_cloud", lambda admin, run: SimpleNamespace(session=made))
    monkeypatch.setattr(verify_run.time, "sleep", lambda seconds: None)
    return made


@pytest.fixture
def run() -> Run:
    made = verify_run.new_run()
    made.ids.update(server="i1")
    return made


def heard(**changed: Any) -> str:
    sample = {
        "resource_id": "i1",
        "counter_name": "cpu",
        "counter_volume": 1.5e9,
        "counter_unit": "ns",
        "timestamp": "2026-11-23T10:02:03.123456+00:00",
        "message_signature": "abc",
    }
    return dumps(sample | changed)


def event(
    kind: str = "compute.instance.pause.end", server: str = "i1", signature: str = "x"
) -> str:
    traits = [["host", 1, "compute1"], ["resource_id", 1, server], ["state", 1, "paused"]]
    return dumps({"event_type": kind, "traits": traits, "message_signature": signature})


def test_the_newest_measure_and_what_was_heard_are_shown(session: Session, run: Run) -> None:
    session.answers[CPU] = (200, MEASURES)
    found = meters.meters(None, run, heard(), event(), 10)
    assert [one.text for one in found] == [
        "cpu 1.5e+09 ns of the instance, at 10:02:03",
        "compute.instance.pause.end of the instance, paused",
        "15 of the instance at 2026-11-23T10:05:00+00:00",
    ]
    assert "meters" in run.times


def test_a_volume_is_measured_where_there_is_one(session: Session, run: Run) -> None:
    run.ids["volume"] = "v1"
    session.answers |= {CPU: (200, MEASURES), SIZE: (200, MEASURES)}
    assert len(meters.meters(None, run, heard(), event(), 10)) == 4
    session.answers[SIZE] = (200, [])
    with pytest.raises(ProofError, match=r"volume\.size of volume v1 in gnocchi: not within"):
        meters.meters(None, run, heard(), event(), 0)


@pytest.mark.parametrize("answer", [(404, {}), (200, [])])
def test_a_meter_that_does_not_come_is_missed(
    session: Session, run: Run, answer: tuple[int, Any]
) -> None:
    session.answers[CPU] = answer
    with pytest.raises(ProofError, match="measures of cpu of instance i1 in gnocchi: not within"):
        meters.meters(None, run, heard(), event(), 0)


def test_a_broken_gnocchi_is_an_error_at_once(session: Session, run: Run) -> None:
    session.answers[CPU] = (503, {})
    with pytest.raises(ProofError, match="asking gnocchi for cpu of the instance: HTTP 503"):
        meters.meters(None, run, heard(), event(), 60)
    assert len(session.asked) == 1


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "not heard on the message queue"),
        (heard(resource_id="another"), "a meter of another"),
        (heard(message_signature=""), "without a signature"),
    ],
)
def test_what_is_heard_must_be_a_signed_meter_of_the_instance(
    session: Session, run: Run, line: str, what: str
) -> None:
    with pytest.raises(ProofError, match=what):
        meters.meters(None, run, line, event(), 10)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "not heard on the message queue: an event"),
        (event(kind="image.update"), "image.update of i1"),
        (event(server="i2"), r"compute\.instance\.pause\.end of i2"),
        (event(signature=""), "an event without a signature"),
    ],
)
def test_an_event_must_be_a_signed_one_of_the_instance(
    session: Session, run: Run, line: str, what: str
) -> None:
    with pytest.raises(ProofError, match=what):
        meters.meters(None, run, heard(), line, 10)


class Compute:
    """An instance that can be paused; `stuck` stays as it is."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.stuck = stuck
        self.seen: list[str] = []
        self.status = "ACTIVE"

    def become(self, status: str) -> None:
        self.seen.append(status)
        self.status = self.status if self.stuck else status

    def pause_server(self, _: str) -> None:
        self.become("PAUSED")

    def unpause_server(self, _: str) -> None:
        self.become("ACTIVE")

    def get_server(self, _: str) -> Any:
        return SimpleNamespace(status=self.status)


def test_an_instance_is_paused_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = Compute()
    monkeypatch.setattr(meters, "user_cloud", lambda *_: SimpleNamespace(compute=compute))
    assert "i1 was paused" in meters.pause(None, run, 10)
    assert compute.seen == ["PAUSED", "ACTIVE"]
    compute.stuck = True
    with pytest.raises(ProofError, match="instance i1 PAUSED: not within 0 s"):
        meters.pause(None, run, 0)


def test_what_gnocchi_has_of_a_project_is_removed(session: Session) -> None:
    admin = SimpleNamespace(session=session)
    session.answers["/v1/resource/generic"] = (200, {"deleted": 4})
    assert meters.forget(admin, "p1") == ["meters of 4 resources"]
    assert session.sent == {"=": {"project_id": "p1"}}


def test_without_gnocchi_there_is_nothing_to_remove(session: Session) -> None:
    session.endpoint = False
    assert meters.forget(SimpleNamespace(session=session), "p1") == []


def test_meters_that_cannot_be_removed_keep_their_project(
    session: Session,
) -> None:
    session.answers["/v1/resource/generic"] = (500, {})
    with pytest.raises(exceptions.HttpException):
        meters.forget(SimpleNamespace(session=session), "p1")
    assert meters.forget in phases.SWEEPERS
