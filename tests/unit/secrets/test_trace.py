"""Commands are traced, not sampled by luck; and a whole run gives none a secret."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SECRET = "Zr9xQ2mB7vLk4pTn"
PROGRAM = Path(__file__).resolve().parents[3] / "tests/lab/cloud/trace.py"


@pytest.fixture
def trace(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tests/lab/cloud/trace.py")


@pytest.fixture
def traced(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tests/lab/cloud/traced.py")


class Running:
    """The program, tracing this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(path)], stdin=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"secrets": {"queue_nova": SECRET}}))
        self.process.stdin.close()
        deadline = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.05)

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=30) == 0
        report: dict[str, Any] = json.loads(self.path.read_text())
        return report


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    program = Running(tmp_path / "trace.json")
    yield program
    program.process.kill()
    program.process.wait()


def test_every_short_lived_command_is_seen(running: Running) -> None:
    if "poll" in json.loads(running.path.read_text())["mode"]:
        pytest.skip("this kernel tells nobody, or not this user, of processes")
    for _ in range(100):
        subprocess.run(["/bin/true", f"--user=nova:{SECRET}@x"], check=True)
    time.sleep(0.5)
    report = running.end()
    assert report["found"]["queue_nova: arguments of true"] == 100
    assert report["execs"] >= 100 and report["lost"] == 0
    assert SECRET not in running.path.read_text()
    assert running.path.stat().st_mode & 0o777 == 0o600


def test_without_the_kernels_help_what_lives_longer_is_seen(
    trace: ModuleType, tmp_path: Path
) -> None:
    seen = trace.Trace({"queue_nova": SECRET})
    with subprocess.Popen(["/bin/sh", "-c", "sleep 5; :", SECRET]) as process:
        deadline = time.monotonic() + 10
        trace.poll(seen, lambda: not seen.found and time.monotonic() < deadline, lambda: None)
        process.kill()
    # The shell's own child is seen, too, if it has not started `sleep` yet.
    assert list(seen.found) == ["queue_nova: arguments of sh"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("iscsiadm -m node -n node.session.auth.password --op update -v abc", "CHAP password"),
        ("cinder-rtstool create /dev/x iqn.x user abc False", "CHAP password"),
        ("x --db-password abc", "option for a password"),
        ("x --db-password=abc", "option for a password"),
        ("x -o password=abc", "option for a password"),
        ("x --password-file /a", None),
        ("ssh -o PasswordAuthentication=no h", None),
        ("getent passwd nova", None),
        ("iscsiadm -m node -n node.session.auth.method -v CHAP", None),
        ("x --set-password --force", None),
    ],
)
def test_an_unknown_secret_is_found_by_its_option(
    trace: ModuleType, arguments: str, found: str | None
) -> None:
    seen = trace.Trace({})
    seen.search(arguments.replace(" ", "\0").encode() + b"\0")
    program = arguments.split()[0]
    assert set(seen.found) == ({f"{found}: arguments of {program}"} if found else set())


def test_a_key_among_arguments_is_found_by_any_of_its_lines(trace: ModuleType) -> None:
    seen = trace.Trace({"ca_key": "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n"})
    seen.search(b"/usr/bin/x\0-----BEGIN KEY-----\0")
    assert not seen.found
    seen.search(b"/usr/bin/x\0aijklmnopq\0")
    assert set(seen.found) == {"ca_key: arguments of x"}


def test_datagrams_of_the_kernel_are_understood(trace: ModuleType) -> None:
    def event(what: int, pid: int) -> bytes:
        body = trace.EVENT.pack(what, 0, 1) + trace.PROCESS.pack(pid, pid) + b"\0" * 16
        message = trace.MESSAGE.pack(1, 1, 0, 0, len(body), 0) + body
        return bytes(trace.HEADER.pack(trace.HEADER.size + len(message), 3, 0, 0, 0) + message)

    assert list(trace.events(event(2, 7) + event(1, 8))) == [(2, 7), (1, 8)]
    assert list(trace.events(b"")) == list(trace.events(event(2, 7)[:-20])) == []


GOOD: dict[str, Any] = {
    "mode": "connector",
    "execs": 5000,
    "unread": 5,
    "lost": 0,
    "found": {"control: arguments of true": 1, "CHAP password: arguments of iscsiadm": 2},
}


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({}, None),
        ({"mode": "poll (x)"}, "sampled only"),
        ({"found": {}}, "was not seen"),
        ({"unread": 6}, "6 had ended"),
        ({"lost": 1}, "dropped events 1 times"),
        ({"found": GOOD["found"] | {"ca_key: arguments of x": 3}}, "ca_key: arguments of x (3"),
    ],
)
def test_a_trace_is_clean_only_if_it_saw_everything(
    traced: ModuleType, other: dict[str, Any], problem: str | None
) -> None:
    found = traced.problems({"compute1": GOOD | other})
    assert len(found) == (1 if problem else 0)
    assert not problem or (problem in found[0] and found[0].startswith("compute1: "))


# --- in the lab
