"""What a run shows while it is at a long task."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cairn.progress import Progress

from .conftest import Clock

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- name: Waiting
  hosts: localhost
  gather_facts: false
  tasks:
    - name: A short one
      ansible.builtin.command: "true"
    - name: Left out
      ansible.builtin.command: "true"
      when: false
    - name: A long one
      ansible.builtin.command: sleep 6
"""


@pytest.fixture
def progress(clock: Clock) -> Progress:
    """A task under way on two hosts since just now."""
    made = Progress(clock)
    made.start("task")
    made.work("compute1")
    made.work("compute2")
    return made


def test_a_short_task_prints_nothing_of_its_own(progress: Progress, clock: Clock) -> None:
    clock.now += 1.9
    assert progress.due() == (None, "")


def test_a_task_is_named_while_it_is_under_way(progress: Progress, clock: Clock) -> None:
    clock.now += 2
    assert progress.due() == ("task", "")


def test_each_minute_tells_the_hosts_that_are_waited_for(progress: Progress, clock: Clock) -> None:
    clock.now += 60
    assert progress.due() == ("task", "... 1 min, still running on: compute1, compute2")
    clock.now += 1
    progress.done("compute1")
    assert progress.due() == ("task", "")
    clock.now += 59
    assert progress.due() == ("task", "... 2 min, still running on: compute2")


def test_a_rack_of_hosts_is_not_listed_whole(progress: Progress, clock: Clock) -> None:
    for number in range(3, 13):
        progress.work(f"compute{number}")
    clock.now += 61
    assert progress.due()[1].endswith("compute8 and 4 more")


def test_nothing_is_shown_of_a_task_that_all_hosts_have_ended(
    progress: Progress, clock: Clock
) -> None:
    progress.done("compute1")
    progress.done("compute2")
    clock.now += 300
    assert progress.due() == (None, "")


def test_nothing_is_shown_between_plays(progress: Progress, clock: Clock) -> None:
    progress.start(None)
    clock.now += 300
    assert progress.due() == (None, "")


def test_a_long_task_is_named_before_it_ends_and_once(tmp_path: Path) -> None:
    tmp_path.joinpath("play.yml").write_text(PLAY)
    tmp_path.joinpath("ansible.cfg").write_text("[defaults]\ndisplay_skipped_hosts = false\n")
    output = tmp_path / "output"
    with output.open("w") as out:
        run = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                "-i",
                "localhost,",
                "-c",
                "local",
                str(tmp_path / "play.yml"),
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "plugins/callback"),
                "ANSIBLE_STDOUT_CALLBACK": "cairn_progress",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
        )
    while "TASK [A long one]" not in output.read_text():
        assert run.poll() is None, f"ended before it was named:\n{output.read_text()}"
        time.sleep(0.1)
    # With its result it would be too late.
    time.sleep(1)
    assert output.read_text().count("changed: [localhost]") == 1
    assert run.wait(timeout=60) == 0
    text = output.read_text()
    assert text.count("TASK [A long one]") == 1
    assert "Left out" not in text
    assert text.index("TASK [A short one]") < text.index("TASK [A long one]")
