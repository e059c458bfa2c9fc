"""On real machines: a wrong VLAN or address costs a minute and no way to the data centre.

Needs root and about 1 GiB of memory: `pytest -m lab tests/network`. Makes a lab of its own, `net`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab
LAB = "net"
INVENTORY = "tests/network/inventory"
SPOILT = {
    # 20 is right.
    "wrong VLAN": {"storage": {"interface": "stor0", "vlan": 21}},
    # Nobody looks for the host there.
    "wrong address": {"management": {"interface": "mgmt0", "address": "198.18.0.77"}},
}

Play = Callable[..., subprocess.CompletedProcess[str]]
Shell = Callable[[str, str], str]


def lab(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", "--name", LAB, "--inventory", INVENTORY, *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def machines(root: Path) -> Iterator[None]:
    """Two machines, with the network their inventory says; removed afterwards."""
    made = lab(root, "up")
    assert made.returncode == 0, made.stderr
    yield
    lab(root, "destroy")


@pytest.fixture
def play(root: Path, machines: None) -> Play:
    """Run the role; `spoil` replaces planes of the host west."""

    def run(spoil: dict[str, Any] | None = None, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command(spoil), *more],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"CAIRN_LAB": LAB},
        )

    return run


def command(spoil: dict[str, Any] | None = None) -> list[str]:
    planes = {name: {"interface": f"{name[:4]}0"} for name in ("storage", "service")}
    planes["management"] = {"interface": "mgmt0"}
    wrong = json.dumps(planes | (spoil or {}))
    right = json.dumps(planes)
    variables = {
        "cairn_host_planes": f"{{{{ {wrong} if inventory_hostname == 'west' else {right} }}}}"
    }
    playbook = Path(sys.executable).with_name("ansible-playbook")
    return [
        str(playbook),
        "-i",
        INVENTORY,
        "tests/network/network.yml",
        "-e",
        json.dumps(variables),
    ]


@pytest.fixture
def shell(root: Path, machines: None) -> Shell:
    """Run a command on a host; returns what it printed."""

    def run(host: str, line: str) -> str:
        done = lab(root, "ssh", host, "--", line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def settled(play: Play) -> None:
    """The right network is in force."""
    done = play()
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("settled")
def test_the_planes_are_real(shell: Shell) -> None:
    shown = shell("west", "ip -br address")
    assert "stor0.20@stor0   UP             198.18.20.12/24" in shown
    assert "serv0.30@serv0   UP             198.18.30.12/24" in shown
    assert "198.18.0.12/24" in shown
    shell("west", "ping -c1 -W2 198.18.20.11")


@pytest.mark.usefixtures("settled")
def test_a_second_run_does_nothing(play: Play) -> None:
    done = play()
    assert done.returncode == 0
    assert "network : Apply" not in done.stdout


@pytest.mark.usefixtures("settled")
def test_check_mode_shows_the_units_and_changes_nothing(play: Play, shell: Shell) -> None:
    before = shell("west", "cat /etc/systemd/network/*")
    done = play(SPOILT["wrong VLAN"], "--check", "--diff")
    assert done.returncode == 0, done.stdout
    assert "+Name=stor0.21" in done.stdout
    assert shell("west", "cat /etc/systemd/network/*") == before


@pytest.mark.usefixtures("settled")
def test_a_wrong_vlan_reverts_and_names_who_did_not_answer(play: Play, shell: Shell) -> None:
    done = play(SPOILT["wrong VLAN"])
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "no answer from east (198.18.20.11) on plane storage at 1500 bytes" in said
    assert "The old configuration is back and the host is reachable" in said
    shell("west", "ping -c1 -W2 198.18.20.11")
    assert "stor0.21" not in shell("west", "ip -br link; ls /etc/systemd/network")


@pytest.mark.usefixtures("settled")
def test_a_wrong_address_reverts_by_itself_within_a_minute(play: Play, shell: Shell) -> None:
    done = play(SPOILT["wrong address"])
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "the controller did not get through over the new network within 45 s" in said
    assert "198.18.0.12/24" in shell("west", "ip -br address show dev mgmt0")
    assert "198.18.0.77" not in shell("west", "ip -br address; cat /etc/systemd/network/*")
    stamps = shell("west", "journalctl --unit 'cairn-network-*' --output short-unix").splitlines()
    armed = [s for s in stamps if "Started cairn-network-revert.timer" in s][-1]
    ended = [s for s in stamps if "cairn-network-revert.service: Deactivated" in s][-1]
    assert float(ended.split()[0]) - float(armed.split()[0]) < 60


@pytest.mark.usefixtures("settled")
def test_a_power_cut_within_the_window_boots_with_the_old_network(
    root: Path, play: Play, shell: Shell
) -> None:
    running = subprocess.Popen(
        command(SPOILT["wrong address"]),
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"CAIRN_LAB": LAB},
    )
    try:
        deadline = time.monotonic() + 90
        while lab(root, "ssh", "east", "--", "ping -c1 -W1 198.18.0.77").returncode:
            assert time.monotonic() < deadline, "the spoilt address never came"
        assert lab(root, "kill", "west").returncode == 0
        assert lab(root, "start", "west").returncode == 0
    finally:
        running.wait(timeout=240)
    assert "198.18.0.12/24" in shell("west", "ip -br address show dev mgmt0")
    assert "restarted before the change was confirmed" in shell(
        "west", "cat /var/lib/cairn/network/trial/reverted.json"
    )
    assert play().returncode == 0
