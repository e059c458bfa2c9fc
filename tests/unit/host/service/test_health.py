"""Waiting for a state, with a time limit and without patience for the hopeless."""

from __future__ import annotations

import itertools
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cairn_host.service import health


@pytest.fixture
def server():
    """A web server whose answers are the numbers in `server.answers`, the last one for good."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers = self.server.answers
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.end_headers()

        def log_message(self, *_args):
            pass

    web = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield web
    web.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(health, "PAUSE", 0)
    monkeypatch.setattr(health, "ASK", 0)
    monkeypatch.setattr(health, "unit_properties", lambda _unit: {"ActiveState": "active"})


def check(server, **more):
    return {"http": "/", "address": "127.0.0.1", "port": server.server_port, "timeout": 5, **more}


@pytest.mark.parametrize("status", [200, 300, 401, 404])
def test_any_answer_below_500_is_life(server, status):
    server.answers = [status]
    assert health.wait("x.service", check(server)) is None


def test_it_waits_until_the_answer_is_good(server):
    server.answers = [503, 503, 200]
    assert health.wait("x.service", check(server)) is None


def test_at_the_time_limit_the_last_complaint_is_returned(server):
    server.answers = [503]
    assert "answers 503" in health.wait("x.service", check(server, timeout=0.2))


def test_a_failed_unit_is_reported_at_once(server, monkeypatch):
    server.answers = [503]
    monkeypatch.setattr(health, "unit_properties", lambda _unit: {"ActiveState": "failed"})
    assert "it failed" in health.wait("x.service", check(server, timeout=60))


def test_systemd_is_not_asked_at_every_look(server, monkeypatch):
    asked = []
    monkeypatch.setattr(health, "ASK", 60)
    monkeypatch.setattr(health, "unit_properties", lambda unit: asked.append(unit) or {})
    server.answers = [503, 503, 503, 200]
    assert health.wait("x.service", check(server)) is None
    assert asked == ["x.service"]


def test_a_restart_loop_is_reported_before_the_time_limit(server, monkeypatch):
    server.answers = [503]
    count = itertools.count()
    monkeypatch.setattr(
        health,
        "unit_properties",
        lambda _unit: {"ActiveState": "activating", "NRestarts": str(next(count))},
    )
    assert "restarted it 3 times" in health.wait("x.service", check(server, timeout=60))


def test_a_port_that_nobody_listens_on_is_a_problem():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert str(port) in health.tcp_problem("127.0.0.1", port)


def test_a_check_command_speaks_by_its_exit_code():
    assert health.command_problem(["true"]) is None
    assert "exits with 1" in health.command_problem(["false"])


@pytest.fixture
def up(monkeypatch):
    """A function that has a unit be up for so many seconds, each look with another process."""
    slept = []
    monkeypatch.setattr(health.time, "sleep", slept.append)

    def since(seconds):
        pids = itertools.count()
        entered = int((health.time.monotonic() - seconds) * 1e6)
        monkeypatch.setattr(
            health,
            "unit_properties",
            lambda _unit: {
                "ActiveState": "active",
                "MainPID": str(next(pids)),
                "ActiveEnterTimestampMonotonic": str(entered),
            },
        )
        return slept

    return since


def test_a_unit_that_changes_its_process_is_not_steady(up):
    slept = up(2)
    assert "did not stay up" in health.steady_problem("x.service", 5)
    assert slept == [pytest.approx(3, abs=0.5)]


def test_a_unit_that_has_been_up_long_enough_is_waited_for_no_longer(up):
    slept = up(6)
    assert health.steady_problem("x.service", 5) is None
    assert slept == []
