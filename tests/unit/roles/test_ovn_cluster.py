"""Controllers' databases of OVN: a new one joins the cluster that there is, and only that."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

STATUS = """\
1f2e
Name: OVN_Northbound
Cluster ID: 5b7c (5b7c3f0e-0000-4000-8000-000000000000)
Server ID: 1f2e (1f2e0000-0000-4000-8000-000000000000)
Address: ssl:192.0.2.1:6643
Status: cluster member
Role: follower
Term: 9
Leader: c0de
Vote: unknown
Servers:
    1f2e (1f2e at ssl:192.0.2.1:6643) (self)
    c0de (c0de at ssl:192.0.2.2:6643) last msg 120 ms ago
    dead (dead at ssl:192.0.2.1:6643) last msg 912001 ms ago
"""


@pytest.fixture
def members(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("roles/ovn/files/members.py")


def test_a_member_knows_its_leader(members: ModuleType) -> None:
    assert members.member(STATUS)
    assert not members.member(STATUS.replace("Leader: c0de", "Leader: unknown"))
    assert not members.member(STATUS.replace("cluster member", "joining cluster"))
    assert not members.member("")


def test_who_had_this_address_before_is_gone(members: ModuleType) -> None:
    assert members.gone(STATUS, "192.0.2.1") == ["dead"]
    assert members.gone(STATUS.replace("dead", "1f2e"), "192.0.2.1") == []
    assert members.gone("", "192.0.2.1") == []


@pytest.fixture
def other() -> Iterator[socket.socket]:
    """Somebody who listens where another controller's database would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def join(
    content: Callable[..., str], tmp_path: Path, other: socket.socket
) -> Callable[..., tuple[int, str]]:
    """Run the script with the other controllers at a local port; exit code, and what it made."""
    text = content("ovn", "/etc/cairn/ovn/join", controllers=2)
    assert "for other in 192.0.2.2; do" in text

    def run(answer: str, *, listens: bool = True, answers: bool = True) -> tuple[int, str]:
        tools = tmp_path / "bin"
        tools.mkdir(exist_ok=True)
        made = tmp_path / "made"
        for name, lines in {
            "ovsdb-client": f"printf '{answer}'; exit {0 if answers else 1}",
            "ovsdb-tool": f'echo "$@" > {made}',
        }.items():
            (tools / name).write_text(f"#!/bin/sh\n{lines}\n")
            (tools / name).chmod(0o755)
        port = other.getsockname()[1] if listens else 1
        changed = text.replace("192.0.2.2", "127.0.0.1").replace("port=6641", f"port={port}")
        changed = changed.replace("/var/lib/ovn", str(tmp_path))
        done = subprocess.run(
            ["bash", "-c", changed, "join", "nb"],
            env={"PATH": f"{tools}:{os.environ['PATH']}"},
            check=False,
        )
        return done.returncode, made.read_text() if made.exists() else ""

    return run


def test_it_joins_the_cluster_that_another_has(join: Callable[..., tuple[int, str]]) -> None:
    code, made = join("5b7c3f0e,OVN_Northbound\n,_Server\n")
    assert code == 0
    assert re.match(
        r"--cid=5b7c3f0e join-cluster \S+/ovnnb_db.db OVN_Northbound "
        r"ssl:192.0.2.1:6643 ssl:127.0.0.1:6643\n",
        made,
    )


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (",OVN_Northbound\n,_Server\n", {}),  # it waits for a cluster itself
        (",_Server\n", {}),
        ("", {"listens": False}),
    ],
)
def test_without_a_cluster_anywhere_it_leaves_all_to_the_server(
    join: Callable[..., tuple[int, str]], answer: str, how: dict[str, bool]
) -> None:
    assert join(answer, **how) == (0, "")


def test_who_does_not_answer_may_have_a_cluster(join: Callable[..., tuple[int, str]]) -> None:
    code, made = join("", answers=False)
    assert code != 0
    assert made == ""


def test_a_database_that_is_there_is_left_alone(
    join: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "ovnnb_db.db").touch()
    assert join("5b7c3f0e,OVN_Northbound\n") == (0, "")


def test_what_is_rendered_does_not_change_by_itself(
    root: Path, content: Callable[..., str]
) -> None:
    text = content("ovn", "/etc/cairn/ovn/join", controllers=3)
    assert "for other in 192.0.2.2 192.0.2.3; do" in text
    # Ansible makes sets for these, whose order is another in every run.
    filters = re.compile(r"\|\s*(difference|union|symmetric_difference|intersect)\(")
    made = [*root.glob("roles/*/templates/*"), *root.glob("roles/*/vars/*.yml")]
    assert [str(path) for path in made if filters.search(path.read_text())] == []
