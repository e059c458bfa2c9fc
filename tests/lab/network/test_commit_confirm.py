"""On real machines: a wrong VLAN or address reverts within a minute, without console access.

Needs root and about 1 GiB of memory: `pytest -m lab tests/lab/network`. Makes a
lab of its own, `net`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .machines import Done, Machines, wait

pytestmark = pytest.mark.lab
SPOILT: dict[str, dict[str, Any]] = {
    # 20 is right.
    "wrong VLAN": {"storage": {"interface": "stor0", "vlan": 21}},
    # Nobody looks for the host there.
    "wrong address": {"management": {"interface": "mgmt0", "address": "198.18.0.77"}},
}

Play = Callable[..., Done]
Shell = Callable[[str, str], str]


@pytest.fixture(scope="module")
def machines(root: Path) -> Iterator[Machines]:
    """Two machines, with the network their inventory says; removed afterwards."""
    made = Machines(root, "net", "tests/lab/network/inventory")
    up = made.lab("up")
    assert up.returncode == 0, up.stderr
    yield made
    made.lab("destroy")


def variables(spoil: dict[str, Any] | None = None) -> dict[str, str]:
    """The planes of both hosts; `spoil` replaces some of the host west."""
    planes = {name: {"interface": f"{name[:4]}0"} for name in ("storage", "service")}
    planes["management"] = {"interface": "mgmt0"}
    wrong = json.dumps(planes | (spoil or {}))
    right = json.dumps(planes)
    return {"cairn_host_planes": f"{{{{ {wrong} if inventory_hostname == 'west' else {right} }}}}"}


@pytest.fixture
def play(machines: Machines) -> Play:
    """Run the role; `spoil` replaces planes of the host west."""

    def run(spoil: dict[str, Any] | None = None, *more: str) -> Done:
        return machines.play(variables(spoil), *more)

    return run


@pytest.fixture
def shell(machines: Machines) -> Shell:
    """Run a command on a host; returns what it printed."""
    return machines.shell


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
def test_a_plan_says_what_its_run_then_does(root: Path, play: Play, shell: Shell) -> None:
    """From both reports, with a unit of somebody else's and one that was changed by hand."""
    report = root / ".cache/last-run.json"
    shell("west", "echo '[Match]' > /etc/systemd/network/30-other.network")
    shell("west", "echo >> /etc/systemd/network/20-cairn-stor0.network")
    reports = []
    for more in (["--check", "--diff"], ["--diff"]):
        done = play(None, *more)
        assert done.returncode == 0, done.stdout
        assert "-[Match]" in done.stdout
        reports.append(json.loads(report.read_text())["hosts"])
    plan, run = ({name: done_to(host) for name, host in hosts.items()} for hosts in reports)
    assert plan == run
    assert run["west"]["changed"] and not run["east"]["changed"]
    assert "30-other.network" not in shell("west", "ls /etc/systemd/network")


def done_to(host: dict[str, Any]) -> dict[str, Any]:
    """What a report says that was done to a host, without what it cost."""
    return {k: v for k, v in host.items() if k not in ("remote_calls", "failed")}


@pytest.mark.usefixtures("settled")
def test_a_wrong_vlan_reverts_and_names_who_did_not_answer(play: Play, shell: Shell) -> None:
    done = play(SPOILT["wrong VLAN"])
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "no answer from east (198.18.20.11) on plane storage at 1500 bytes" in said
    assert "The old configuration is restored and the host is reachable" in said
    shell("west", "ping -c1 -W2 198.18.20.11")
    assert "stor0.21" not in shell("west", "ip -br link; ls /etc/systemd/network")


@pytest.mark.usefixtures("settled")
def test_a_wrong_address_reverts_by_itself_within_a_minute(play: Play, shell: Shell) -> None:
    done = play(SPOILT["wrong address"])
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "the control node did not get through over the new network within 45 s" in said
    assert "198.18.0.12/24" in shell("west", "ip -br address show dev mgmt0")
    assert "198.18.0.77" not in shell("west", "ip -br address; cat /etc/systemd/network/*")
    stamps = shell("west", "journalctl --unit 'cairn-network-*' --output short-unix").splitlines()
    armed = [s for s in stamps if "Started cairn-network-revert.timer" in s][-1]
    ended = [s for s in stamps if "cairn-network-revert.service: Deactivated" in s][-1]
    assert float(ended.split()[0]) - float(armed.split()[0]) < 60


@pytest.mark.usefixtures("settled")
def test_a_power_cut_within_the_window_boots_with_the_old_network(
    machines: Machines, play: Play, shell: Shell
) -> None:
    running = machines.start(machines.play_command(variables(SPOILT["wrong address"])))
    try:
        wait(
            90,
            lambda: machines.ssh("east", "ping -c1 -W1 198.18.0.77").returncode == 0,
            "the spoilt address never came",
        )
        assert machines.lab("kill", "west").returncode == 0
        assert machines.lab("start", "west").returncode == 0
    finally:
        running.wait(timeout=240)
    assert "198.18.0.12/24" in shell("west", "ip -br address show dev mgmt0")
    assert "restarted before the change was confirmed" in shell(
        "west", "cat /var/lib/cairn/network/trial/reverted.json"
    )
    assert play().returncode == 0
