"""RabbitMQ's node is started anew when its queues are down for good, and only then."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "roles/rabbitmq/templates/queues-alive.sh"
# Answers as the real one does: without a line's end, from files named by the function.
ERL_CALL = """#!/bin/sh
echo "$*" >> "$ANSWERS/asked"
set -- $4
cat "$ANSWERS/$2"
"""
ALIVE = {"is_running": "true", "whereis": "<rabbit@c1.251.0>", "get_local_alarms": "[]"}


@pytest.mark.parametrize(
    ("changed", "status", "halted"),
    [
        ({}, 0, False),
        ({"is_running": "false", "whereis": "undefined"}, 0, False),
        ({"is_running": None, "whereis": "undefined"}, 0, False),
        ({"whereis": "undefined", "get_local_alarms": "[{resource_limit,disk,c1}]"}, 1, False),
        ({"whereis": "undefined"}, 0, True),
    ],
    ids=["alive", "starting", "down", "disk still full", "dead"],
)
def test_the_node_is_ended_only_if_queues_are_down_for_good(
    tmp_path: Path, changed: dict[str, str | None], status: int, *, halted: bool
) -> None:
    tool = tmp_path / "erl_call"
    tool.write_text(ERL_CALL)
    tool.chmod(0o755)
    for function, answer in {**ALIVE, "halt": "", **changed}.items():
        if answer is not None:
            (tmp_path / function).write_text(answer)
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), "-sname", "rabbit@c1"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "ANSWERS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = (tmp_path / "asked").read_text().splitlines()
    assert done.returncode == status, done.stderr
    assert all(line.startswith("-sname rabbit@c1 -a ") for line in asked)
    assert ("-sname rabbit@c1 -a erlang halt [1]" in asked) is halted
