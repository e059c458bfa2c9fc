"""The central agent runs where the internal VIP is, and nowhere else."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = "roles/ceilometer/files/run_where_vip.py"
SECONDS = 0.02


@pytest.fixture
def where(script: Callable[[str], ModuleType]) -> ModuleType:
    return script(SCRIPT)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Keeper:
    """The program in a thread, with an address that comes and goes."""

    def __init__(self, where: ModuleType, folder: Path) -> None:
        self.here = False
        self.answers: list[bool] = []
        self.ended = threading.Event()
        self.starts = folder / "starts"
        self.starts.touch()
        self.looked = 0
        work = f"echo $$ >> {self.starts}; exec sleep 60"
        self.thread = threading.Thread(
            target=where.run, args=(["sh", "-c", work], self.look, self.ended, SECONDS)
        )
        self.thread.start()

    def look(self) -> bool:
        self.looked += 1
        return self.answers.pop() if self.answers else self.here

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.starts.read_text().split()]

    def runs(self) -> bool:
        return bool(self.pids) and Path(f"/proc/{self.pids[-1]}/cmdline").exists()


@pytest.fixture
def keeper(where: ModuleType, tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(where, tmp_path)
    yield made
    made.ended.set()
    made.thread.join(20)


def test_nothing_runs_where_the_address_is_not(keeper: Keeper) -> None:
    until(lambda: keeper.looked > 5)
    assert keeper.pids == []


def test_the_command_starts_where_the_address_comes_to_and_stops_where_it_leaves(
    keeper: Keeper,
) -> None:
    keeper.here = True
    until(keeper.runs)
    keeper.here = False
    until(lambda: not keeper.runs())
    keeper.here = True
    until(lambda: len(keeper.pids) == 2 and keeper.runs())


def test_an_address_that_is_gone_for_a_moment_stops_nothing(
    where: ModuleType, keeper: Keeper
) -> None:
    keeper.here = True
    until(keeper.runs)
    looked = keeper.looked
    keeper.answers = [False] * (where.TIMES_AWAY - 1)
    until(lambda: keeper.looked > looked + 2 * where.TIMES_AWAY)
    assert keeper.answers == []
    assert len(keeper.pids) == 1
    assert keeper.runs()


def test_the_command_ends_with_the_program(keeper: Keeper) -> None:
    keeper.here = True
    until(keeper.runs)
    keeper.ended.set()
    keeper.thread.join(20)
    assert not keeper.runs()


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("exit 0", 1)])
def test_a_command_that_ends_by_itself_ends_the_program_as_a_failure(
    where: ModuleType, command: str, code: int
) -> None:
    assert where.run(["sh", "-c", command], lambda: True, threading.Event(), SECONDS) == code


def test_the_kernel_is_asked_for_the_address(where: ModuleType) -> None:
    assert where.is_here("127.0.0.1")
    assert not where.is_here("192.0.2.77")


def test_sigterm_takes_the_command_along(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    work = (
        f"trap 'echo gone > {state}; exit' TERM; echo here > {state}; while :; do sleep 0.1; done"
    )
    program = [sys.executable, str(root / SCRIPT), "127.0.0.1", "sh", "-c", work]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as started:
        until(lambda: state.exists() and state.read_text() == "here\n")
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 0
    assert state.read_text() == "gone\n"
