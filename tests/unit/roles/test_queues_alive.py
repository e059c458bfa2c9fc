"""RabbitMQ's node is started again when its queues are down for good, and only then."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/rabbitmq/files/queues-alive.sh"
# Answer from a file what they are asked: erl_call on its stdin, rabbitmqctl as its last argument.
TOOLS = {
    "erl_call": """#!/bin/sh
[ "$*" = "-sname rabbit@c1 -e" ] || exit 2
cat >> "$ANSWERS/asked"
printf '{ok, %s}' "$(cat "$ANSWERS/state")"
""",
    "rabbitmqctl": """#!/bin/sh
[ "$1 $2 $#" = "--quiet eval 3" ] || exit 2
echo "$3" >> "$ANSWERS/asked"
cat "$ANSWERS/state"
""",
}


@pytest.mark.parametrize("asker", ["erl_call -sname rabbit@c1", "rabbitmqctl"])
@pytest.mark.parametrize(
    ("state", "status", "halted"),
    [
        ("well", 0, False),
        (None, 0, False),
        ("{short_of,[{resource_limit,disk,'rabbit@c1'}]}", 1, False),
        ("dead", 0, True),
    ],
    ids=["alive or starting", "down", "disk still full", "dead"],
)
def test_the_node_is_ended_only_if_queues_are_down_for_good(
    tmp_path: Path, asker: str, state: str | None, status: int, *, halted: bool
) -> None:
    for name, text in TOOLS.items():
        tool = tmp_path / name
        tool.write_text(text)
        tool.chmod(0o755)
    if state is not None:
        (tmp_path / "state").write_text(f"{state}\n")
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), *asker.split()],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "ANSWERS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert ("erlang:halt(1)." in (tmp_path / "asked").read_text()) is halted
    assert ("short_of" in done.stderr) is (status == 1)
