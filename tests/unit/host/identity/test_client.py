"""Keystone's API is asked until it answers, and has an administrator afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from cairn_host.errors import HostError
from cairn_host.identity import client, keystone

URL = "https://in:5000/v3"
BOOTSTRAP = ["/opt/keystone/bin/keystone-manage", "bootstrap"]
ASKED = {
    **{"auth_url": URL, "ca_file": "/ca.pem", "admin_password": "secret", "region": "RegionOne"},
    **{"bootstrap": BOOTSTRAP, "user": "keystone"},
    **dict.fromkeys(("services", "users", "domains", "roles"), ()),
}


class Answer:
    """A response of keystone."""

    def __init__(self, status: int, body: Any = None, token: str = "") -> None:
        self.status_code = status
        self.content = json.dumps(body).encode() if body is not None else b""
        self.text = self.content.decode()
        self.headers = {"X-Subject-Token": token}
        self.request = type("Request", (), {"method": "GET", "url": f"{URL}/x"})

    def json(self) -> Any:
        return json.loads(self.content)


class Session:
    """Gives its answers in order, the last one for ever; an exception is raised."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, url: str, json: Any, timeout: float) -> Answer:
        self.asked.append((method, url, json))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits: time goes on with each sleep."""
    now = [0.0]
    monkeypatch.setattr(client.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(client.time, "sleep", lambda seconds: now.append(now.pop() + seconds))


def of(*answers: Answer | Exception) -> tuple[client.Client, Session]:
    """A client, and the session that answers it."""
    made, session = client.Client(f"{URL}/", "/ca.pem"), Session(*answers)
    made.session = session  # type: ignore[assignment]
    return made, session


def test_the_administrators_token_goes_with_what_follows() -> None:
    asked, session = of(Answer(201, {}, token="t"), Answer(204))
    assert asked.login("secret")
    assert session.headers["X-Auth-Token"] == "t"
    assert asked.call("PUT", "/roles/r") == {}
    assert session.asked[1] == ("PUT", f"{URL}/roles/r", None)
    (_, url, body) = session.asked[0]
    assert url == f"{URL}/auth/tokens"
    assert body["auth"]["scope"]["project"]["name"] == "admin"


def test_a_wrong_password_is_an_answer_and_a_failure_is_none() -> None:
    assert not of(Answer(401))[0].login("secret")
    assert not of(Answer(401))[0].password_is("u1", "secret")
    assert of(Answer(201, {}))[0].password_is("u1", "secret")
    for ask in (lambda c: c.login("secret"), lambda c: c.password_is("u1", "secret")):
        with pytest.raises(HostError, match=r"^GET https://in:5000/v3/x: 500 .*broken"):
            ask(of(Answer(500, "broken"))[0])


def test_what_is_not_there_is_an_answer_and_a_refusal_is_none() -> None:
    assert not of(Answer(404))[0].exists("/regions/r")
    assert of(Answer(200, {}))[0].exists("/regions/r")
    with pytest.raises(HostError, match="403"):
        of(Answer(403, "no"))[0].exists("/regions/r")
    with pytest.raises(HostError, match="404"):
        of(Answer(404, "no"))[0].call("GET", "/regions/r")


def refused() -> Iterator[Exception]:
    """The errors of a connection that may be good a moment later."""
    import requests

    yield requests.ConnectionError("refused")
    yield requests.Timeout("late")


def test_it_is_asked_again_until_the_load_balancer_has_it() -> None:
    asked, session = of(*refused(), Answer(503), Answer(502), Answer(504), Answer(200, {"a": 1}))
    assert asked.call("GET", "/regions") == {"a": 1}
    assert len(session.asked) == 6


@pytest.mark.parametrize(("answer", "why"), [(Answer(503), "503"), (next(refused()), "refused")])
def test_what_does_not_come_up_is_named_with_its_journals(answer: Any, why: str) -> None:
    with pytest.raises(HostError, match=rf"^GET {URL}/r: no answer for 120 s: {why}; see journal"):
        of(answer)[0].call("GET", "/r")


def test_the_password_is_in_no_argument_of_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[list[str], dict[str, str]]] = []
    code = 0

    def run(words: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append((words, env))
        return subprocess.CompletedProcess(words, code, "", "no such table")

    monkeypatch.setattr(client.subprocess, "run", run)
    client.bootstrap(BOOTSTRAP, "keystone", "secret")
    ((words, environment),) = ran
    assert words == ["runuser", "--user=keystone", "--", *BOOTSTRAP]
    assert environment["OS_BOOTSTRAP_PASSWORD"] == "secret"
    code = 1
    with pytest.raises(HostError, match=r"keystone-manage bootstrap: no such table"):
        client.bootstrap(BOOTSTRAP, "keystone", "secret")


class Api:
    """Stands for Client: `logins` are its answers to login, in order."""

    def __init__(self, *logins: bool) -> None:
        self.logins = list(logins)

    def __call__(self, url: str, ca_file: str) -> Api:
        assert (url, ca_file) == (URL, "/ca.pem")
        return self

    def login(self, password: str) -> bool:
        assert password == "secret"
        return self.logins.pop(0)

    def exists(self, path: str) -> bool:
        return path == "/regions/RegionOne"

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        assert method == "GET"
        return {"services": [], "endpoints": []}


@pytest.fixture
def bootstrapped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """How keystone was bootstrapped."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(keystone, "bootstrap", lambda *how: calls.append(how))
    return calls


@pytest.mark.parametrize(
    ("logins", "check", "changes", "times"),
    [
        ([True], False, [], 0),
        ([False, True], False, ["user admin: bootstrapped"], 1),
        ([False], True, ["user admin: bootstrapped"], 0),
    ],
)
def test_keystone_is_bootstrapped_if_its_administrator_cannot_log_in(
    monkeypatch: pytest.MonkeyPatch,
    bootstrapped: list[tuple[Any, ...]],
    logins: list[bool],
    check: bool,
    changes: list[str],
    times: int,
) -> None:
    monkeypatch.setattr(keystone, "Client", Api(*logins))
    assert keystone.declare(ASKED, check) == changes
    assert bootstrapped == [(BOOTSTRAP, "keystone", "secret")] * times


def test_a_bootstrap_that_did_not_help_is_an_error(
    monkeypatch: pytest.MonkeyPatch, bootstrapped: list[tuple[Any, ...]]
) -> None:
    monkeypatch.setattr(keystone, "Client", Api(False, False))
    with pytest.raises(HostError, match="bootstrapped, but admin still cannot log in"):
        keystone.declare(ASKED, False)
