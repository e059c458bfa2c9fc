"""nova-compute is ended when it has finished: not before, and not long after."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PID = 4711
NEVER = 1000.0


class Compute:
    """A nova-compute that gets signals: its calls, its other work, and seconds that pass."""

    def __init__(self, module: ModuleType, patch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.answers_until, self.sleeps_until = 2.0, 170.0
        self.busy: Callable[[float], list[str]] = lambda _now: []
        self.ended: list[float] = []
        self.signals: list[tuple[int, int]] = []
        patch.setattr(module.os, "kill", lambda pid, sent: self.signals.append((pid, sent)))
        patch.setattr(
            module, "alive", lambda _pid: not self.ended and self.seconds < self.sleeps_until
        )
        patch.setattr(module, "answered", lambda _since: self.seconds >= self.answers_until)
        patch.setattr(module, "end", lambda _pid: self.ended.append(self.seconds))
        self.module = module

    def pause(self, seconds: float) -> None:
        self.seconds += seconds

    def finish(self) -> list[str]:
        api = SimpleNamespace(busy=lambda: self.busy(self.seconds))
        return list(
            self.module.finish(PID, lambda: api, 20.0, clock=lambda: self.seconds, pause=self.pause)
        )


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("roles/nova/files/drain_compute.py")


@pytest.fixture
def compute(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Compute:
    return Compute(module, monkeypatch)


def test_where_nothing_goes_on_it_ends_at_once(compute: Compute) -> None:
    assert compute.finish() == [
        "waiting for calls that it is answering",
        "no work on this host: stopping",
    ]
    assert compute.signals == [(PID, signal.SIGTERM)]
    assert compute.ended == [3.0]


def test_a_build_is_finished(compute: Compute) -> None:
    compute.busy = lambda now: ["instance"] if now < 50 else []
    assert "waiting for instance" in compute.finish()
    assert compute.ended == [51.0]


def test_what_comes_to_light_a_moment_later_is_finished_too(compute: Compute) -> None:
    compute.busy = lambda now: ["late"] if 3 <= now < 9 else []
    compute.finish()
    assert compute.ended == [10.0]


def test_a_call_is_answered_to_its_end(compute: Compute) -> None:
    compute.answers_until = 40.0
    compute.finish()
    assert compute.ended == [41.0]


def test_what_takes_too_long_nova_ends_itself(compute: Compute) -> None:
    compute.busy = lambda _now: ["stuck"]
    compute.finish()
    assert compute.ended == []
    assert compute.seconds == 170.0


# Calls that wait for a controller that is gone are never answered.
@pytest.mark.parametrize("answers_until", [0.0, 5.0, NEVER])
def test_nobody_waits_long_for_an_api_that_does_not_answer(
    compute: Compute, answers_until: float
) -> None:
    def silent(_now: float) -> list[str]:
        raise ConnectionError("refused")

    compute.answers_until = answers_until
    compute.busy = silent
    assert compute.finish()[-1].startswith("nova's API does not answer (refused)")
    assert compute.ended == [21.0]


def test_nobody_waits_long_for_calls_when_the_controllers_go_where_nothing_else_goes_on(
    compute: Compute,
) -> None:
    def leaving(now: float) -> list[str]:
        if now > 25:
            raise ConnectionError("refused")
        return []

    compute.answers_until = NEVER
    compute.busy = leaving
    compute.finish()
    assert compute.ended == [46.0]


def test_an_api_that_is_away_for_a_moment_is_asked_again(compute: Compute) -> None:
    def away(now: float) -> list[str]:
        if 10 < now < 60:
            raise ConnectionError("refused")
        return ["instance"] if now < 80 else []

    compute.busy = away
    compute.finish()
    assert compute.ended == [81.0]


def test_a_unit_without_a_main_process_stops_as_it_is(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAINPID", raising=False)
    module.main(["/nowhere", "20"])


SERVER = {"id": "i", "OS-EXT-STS:task_state": None, "OS-EXT-SRV-ATTR:host": "compute1"}
MIGRATION = {"instance_uuid": "m"}


@pytest.mark.parametrize(
    ("here", "moved", "built", "busy"),
    [
        pytest.param([SERVER], [{**MIGRATION, "status": "completed"}], [SERVER], [], id="idle"),
        pytest.param([{**SERVER, "OS-EXT-STS:task_state": "spawning"}], [], [], ["i"], id="task"),
        pytest.param([], [{**MIGRATION, "status": "running"}], [], ["m"], id="migration"),
        pytest.param([], [], [{**SERVER, "OS-EXT-SRV-ATTR:host": None}], ["i"], id="new"),
    ],
)
def test_what_the_api_says_is_going_on(
    module: ModuleType, here: list[Any], moved: list[Any], built: list[Any], busy: list[str]
) -> None:
    nova = object.__new__(module.Nova)
    nova.host = "compute1"
    nova.get = lambda what, **query: (
        built if "status" in query else here if what == "servers/detail" else moved
    )
    assert nova.busy() == busy


class Cloud(BaseHTTPRequestHandler):
    """Keystone and nova, as far as a token and two lists."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, code: int, content: dict[str, Any], **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        text = json.dumps(content).encode()
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        host = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[attr-defined]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = asked["auth"]["identity"]["password"]["user"]
        assert (user["name"], user["password"]) == ("nova", "pw")
        entry = {"interface": "internal", "region": "r", "region_id": "r", "url": f"{host}/nova"}
        catalog = [{"type": "compute", "name": "nova", "endpoints": [entry]}]
        token = {"catalog": catalog, "methods": ["password"], "expires_at": "2999-01-01T00:00:00Z"}
        self.answer(201, {"token": token}, X_Subject_Token="t")

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.asked.append((path, query))  # type: ignore[attr-defined]
        if path == "/nova/servers/detail":
            task = None if "status" in query else "spawning"
            self.answer(200, {"servers": [{**SERVER, "OS-EXT-STS:task_state": task}]})
        elif path == "/nova/os-migrations":
            self.answer(200, {"migrations": []})
        else:  # which versions keystone has
            links = [{"rel": "self", "href": f"http://{self.headers['Host']}{path}"}]
            version = {"id": "v3.14", "status": "stable", "links": links, "media-types": []}
            self.answer(200, {"version": version})


@pytest.fixture
def cloud() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


ASK = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("finish", sys.argv[1])
finish = importlib.util.module_from_spec(spec)
spec.loader.exec_module(finish)
print(finish.Nova(sys.argv[2]).busy())
"""


def test_nova_is_asked_with_its_own_account(
    cloud: ThreadingHTTPServer, venv_of: Callable[[str], Path], root: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "nova.conf"
    conf.write_text(
        "[DEFAULT]\nhost = compute1\nlog_dir = /nowhere\n[service_user]\nauth_type = password\n"
        f"auth_url = http://127.0.0.1:{cloud.server_address[1]}/v3\nusername = nova\n"
        "password = pw\nproject_name = service\nuser_domain_name = Default\n"
        "project_domain_name = Default\nsend_service_user_token = true\n"
    )
    command = [str(venv_of("nova") / "bin/python"), "-c", ASK]
    done = subprocess.run(
        [*command, str(root / "roles/nova/files/drain_compute.py"), str(conf)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['i']\n", done.stderr
    assert ("/nova/servers/detail", "all_tenants=1&host=compute1") in cloud.asked  # type: ignore[attr-defined]
