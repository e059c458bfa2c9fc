"""Real labs: boot, power cut, half-made labs, two at once. Needs root and two minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import network
from lab.state import State

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and taps need root"),
]

ROOT = Path(__file__).parents[3]


class Lab:
    """The commands, for one lab of one small machine called `solo`."""

    def __init__(self, name: str, inventory: Path) -> None:
        self.name = name
        self.inventory = inventory
        self.state = State(name)

    def argv(self, *words: str) -> list[str]:
        return [
            *(sys.executable, "-m", "lab"),
            *("--name", self.name, "--inventory", str(self.inventory)),
            *words,
        ]

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            self.argv(*words), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory, planes: dict[str, Any]) -> Path:
    folder = tmp_path_factory.mktemp("solo")
    host = {
        "cairn_planes": planes,
        "cairn_host_number": 11,
        "cairn_nics": {
            "mgmt0": {"mac": "52:54:00:18:01:11"},
            "stor0": {"mac": "52:54:00:18:15:11", "mtu": 9000},
        },
        "cairn_host_planes": {
            "management": {"interface": "mgmt0"},
            "storage": {"interface": "stor0"},
        },
        "lab_memory_mb": 512,
        "lab_disks": [1],
        "lab_nice": 5,
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"solo": host}}}))
    return folder


@pytest.fixture(scope="module")
def lab(inventory: Path) -> Iterator[Lab]:
    made = Lab("test-boot", inventory)
    made("destroy")
    made("up")
    yield made
    made("destroy")
    assert not made.state.folder.exists()
    assert not network.exists(made.name)
    assert made.state.running() == {}


def on(lab: Lab, *command: str) -> str:
    return lab("ssh", "solo", *command)


def test_the_machine_is_what_the_inventory_says(lab: Lab) -> None:
    assert on(lab, "hostname").strip() == "solo"
    memory = int(on(lab, "awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert 400_000 < memory <= 512 * 1024
    assert on(lab, "cat /sys/class/net/*/address | grep 52:54").split() == [
        "52:54:00:18:01:11",
        "52:54:00:18:15:11",
    ]
    disks = on(lab, "lsblk -bdno SIZE,TYPE | awk '$1 > 0 {print $1}'").split()
    assert disks == [str(20 << 30), str(1 << 30)]
    assert on(lab, "systemctl is-system-running --wait").strip() == "running"


def test_the_machine_stands_back_where_processors_are_short(lab: Lab) -> None:
    process = lab.state.running()["solo"].pid
    assert os.getpriority(os.PRIO_PROCESS, process) == 5
    group = Path(f"/proc/{process}/autogroup")  # "/autogroup-7 nice 5"
    assert not group.exists() or int(group.read_text().split()[-1]) == 5


def test_only_management_is_configured_and_every_nic_takes_jumbo_frames(lab: Lab) -> None:
    addresses = on(lab, "ip -br -4 address show scope global").split()
    assert addresses[2:] == ["198.18.0.11/24"]
    on(lab, "ip link set vec1 mtu 1500 && ip link set vec1 mtu 9000")


def test_vlans_and_jumbo_frames_reach_the_operator(lab: Lab) -> None:
    on(lab, "ip link set vec1 mtu 9000 up")
    on(lab, "ip link add link vec1 name vec1.20 type vlan id 20")
    on(lab, "ip address add 198.18.20.11/24 dev vec1.20 && ip link set vec1.20 up")
    lab("exec", "--", *["ping", "-c", "2", "-M", "do", "-s", "8972", "-W", "5", "198.18.20.11"])
    on(lab, "ip link delete vec1.20")
    lab("exec", "--", *["ping", "-c", "1", "-W", "1", "198.18.20.11"], code=1)


def test_a_clock_that_the_machine_below_has_set_is_followed(lab: Lab) -> None:
    on(lab, "date --set='-10 minutes'")
    end = time.monotonic() + 20
    while abs(int(on(lab, "date +%s")) - time.time()) > 3:
        assert time.monotonic() < end, on(lab, "journalctl --no-pager --unit lab-clock")
        time.sleep(1)


def test_packages_can_be_installed(lab: Lab) -> None:
    assert "Err:" not in on(lab, "apt-get update 2>&1")


def test_up_again_starts_nothing_and_takes_seconds(lab: Lab) -> None:
    begun = time.monotonic()
    assert "was running" in lab("up")
    assert time.monotonic() - begun < 15


def test_after_a_power_cut_the_machine_comes_back_with_its_files(lab: Lab) -> None:
    on(lab, "echo kept > /root/file && sync /root/file")
    lab("kill", "solo")
    assert " off " in lab("status", code=3)
    assert "was running" not in lab("start", "solo")
    assert on(lab, "cat /root/file").strip() == "kept"


def test_a_machine_whose_process_died_unseen_is_started_again(lab: Lab) -> None:
    os.killpg(lab.state.running()["solo"].pid, signal.SIGKILL)
    lab("up")
    assert on(lab, "true") == ""


def test_a_reboot_from_inside_comes_back_by_itself(lab: Lab) -> None:
    before = on(lab, "cat /proc/sys/kernel/random/boot_id")
    subprocess.run(lab.argv("ssh", "solo", "systemctl", "reboot"), cwd=ROOT, check=False)
    end = time.monotonic() + 90
    while time.monotonic() < end:
        done = subprocess.run(
            lab.argv("ssh", "solo", "cat", "/proc/sys/kernel/random/boot_id"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and done.stdout != before:
            break
        time.sleep(1)
    else:
        pytest.fail("the machine did not come back")
    assert set(lab.state.running()) == {"solo"}


def test_a_good_shutdown_needs_no_power_cut(lab: Lab) -> None:
    assert "power was cut" not in lab("stop")
    assert lab.state.running() == {}
    lab("up")


def test_a_second_lab_stands_beside_the_first(lab: Lab, inventory: Path) -> None:
    second = Lab("test-boot-2", inventory)
    try:
        second("up")
        on(second, "echo second > /root/lab")
        assert on(lab, "test -e /root/lab || echo none").strip() == "none"
        second("destroy")
        assert on(lab, "hostname").strip() == "solo"
        assert on(lab, "apt-get update >/dev/null 2>&1 && echo reached").strip() == "reached"
    finally:
        second("destroy")


def test_a_half_made_lab_is_cleaned_by_the_next_run(lab: Lab, inventory: Path) -> None:
    third = Lab("test-boot-3", inventory)
    third("destroy")
    state = third.state
    try:
        # An `up` that was killed: a namespace without its uplink, half a disk.
        subprocess.run(["ip", "netns", "add", network.namespace(third.name)], check=True)
        (state.folder / "disks").mkdir(parents=True)
        (state.folder / "disks/solo.0.part").write_bytes(b"half")
        (state.folder / "id_ed25519").write_text("")
        third("up")
        assert not list(state.folder.rglob("*.part"))
        assert on(third, "hostname").strip() == "solo"
    finally:
        third("destroy")


def test_an_up_killed_at_any_moment_is_taken_up_again(lab: Lab, inventory: Path) -> None:
    fourth = Lab("test-boot-4", inventory)
    fourth("destroy")
    try:
        for seconds in (0.7, 1.5, 3.0, 6.0):
            process = subprocess.Popen(fourth.argv("up"), cwd=ROOT, start_new_session=True)
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        fourth("up")
        assert on(fourth, "hostname").strip() == "solo"
        assert set(fourth.state.running()) == {"solo"}
    finally:
        fourth("destroy")


def test_nothing_of_the_labs_outlives_them(lab: Lab) -> None:
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert "cairn-test-boot-" not in namespaces
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    for number in (2, 3, 4):
        assert network.table(f"test-boot-{number}") not in tables.stdout
        assert not Path(f"/sys/class/net/{network.veth_name(f'test-boot-{number}')}").exists()
