"""A stopped API finishes the requests it has, and ends in time whatever its code does."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cairn.service import uwsgi
from cairn.service.model import Model

# A thread that Python waits for when it ends, as services' libraries start some; a request that
# takes its time, and one that never ends.
APPLICATION = """
import threading, time

def forever():
    while True:
        time.sleep(1)

time.sleep({loading})
if {thread}:
    threading.Thread(target=forever).start()

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(3)
    elif environ["PATH_INFO"] == "/stuck":
        forever()
    start_response("200 OK", [])
    return [b"well"]
"""
MERCY = 6


@pytest.fixture(scope="module")
def venv(venv_of: Callable[[str], Path]) -> Path:
    return venv_of("neutron")


class Api:
    """uWSGI with a unit's options, but for the application, its address and its patience."""

    def __init__(self, venv: Path, text: str, folder: Path, **about: Any) -> None:
        (folder / "made_up.py").write_text(APPLICATION.format(**about))
        changes = {
            "http-socket": "127.0.0.1:0",
            "module": "made_up:application",
            "worker-reload-mercy": str(MERCY),
            "processes": "2",
        }
        for name, value in changes.items():
            text, changed = re.subn(rf"(?m)^({name} = ).*$", rf"\g<1>{value}", text)
            assert changed == 1, name
        (folder / "uwsgi.ini").write_text(text + f"pythonpath = {folder}\n")
        self.log = folder / "log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [str(venv / "bin/uwsgi"), "--ini", str(folder / "uwsgi.ini")],
                stdout=output,
                stderr=output,
            )
        self.until(r"spawned uWSGI worker 2")

    def until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + 120
        while not (found := re.search(pattern, self.log.read_text())):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        return found

    def ask(self, path: str) -> list[str]:
        """Ask in a thread; the answer comes into the list that is returned."""
        self.until(r"(?s)(WSGI app 0 .*){2}")
        url = "http://" + self.until(r"bound to TCP address (\S+)")[1]
        answers: list[str] = []

        def get() -> None:
            try:
                answers.append(requests.get(url + path, timeout=120).text)
            except requests.RequestException as error:
                answers.append(type(error).__name__)

        threading.Thread(target=get, daemon=True).start()
        time.sleep(1)
        return answers

    def end(self) -> tuple[int, float]:
        """Stop it, as systemd does; its exit code and how long that took."""
        begin = time.monotonic()
        self.process.terminate()
        # What systemd waits for is longer than uWSGI's patience by as much.
        return self.process.wait(timeout=MERCY + 30), time.monotonic() - begin


@pytest.fixture
def start(
    venv: Path, make_model: Callable[..., Model], tmp_path: Path
) -> Iterator[Callable[..., Api]]:
    manifest = make_model("controller1").manifest("neutron")
    assert manifest is not None
    (text,) = [str(f["content"]) for f in manifest["files"] if f["path"] == "uwsgi-neutron-api.ini"]
    started: list[Api] = []

    def run(*, thread: bool = False, loading: int = 0) -> Api:
        started.append(Api(venv, text, tmp_path, thread=thread, loading=loading))
        return started[-1]

    yield run
    for api in started:
        subprocess.run(["pkill", "-KILL", "--parent", str(api.process.pid)], check=False)
        api.process.kill()
        api.process.wait()


def test_a_request_on_its_way_is_answered(start: Callable[..., Api]) -> None:
    api = start()
    answers = api.ask("/slow")
    assert api.end()[0] == 0
    assert answers == ["well"]


@pytest.mark.parametrize(("thread", "path"), [(True, "/"), (False, "/stuck")])
def test_what_would_never_end_is_ended(start: Callable[..., Api], thread: bool, path: str) -> None:
    api = start(thread=thread)
    api.ask(path)
    code, seconds = api.end()
    assert code == 0, api.log.read_text()
    assert MERCY - 2 < seconds < MERCY + 20
    assert "NO MERCY" in api.log.read_text()


def test_one_that_is_still_loading_its_code_ends_at_once(start: Callable[..., Api]) -> None:
    # uWSGI itself forgets the signal meanwhile, and the worker would serve on.
    api = start(loading=MERCY + 30)
    time.sleep(1)
    code, seconds = api.end()
    assert code == 0, api.log.read_text()
    assert seconds < MERCY - 1
    assert "NO MERCY" not in api.log.read_text()


def test_systemd_waits_longer_than_uwsgi_is_patient(make_model: Callable[..., Model]) -> None:
    manifest = make_model("controller1").manifest("neutron")
    assert manifest is not None
    (unit,) = [unit for unit in manifest["units"] if unit["name"] == "neutron-api"]
    found = re.search(r"(?m)^TimeoutStopSec=(\d+)$", unit["text"])
    assert found is not None
    assert int(found[1]) >= uwsgi.UWSGI["worker-reload-mercy"] + 15
