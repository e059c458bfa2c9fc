"""A machine of the lab without an accelerator: QEMU translates every instruction.

For computers without virtualisation on which User-Mode Linux does not start.
Ten minutes, half of them once for a computer, for Debian's kernel and an image with its modules:
`make bad-days` runs it, `make test` does not. Root needed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and taps need root"),
]

LAB = "test-tcg"
HOST = {
    "cairn_planes": {
        "management": {
            "cidr": "198.18.0.0/24",
            "gateway": "198.18.0.1",
            "range": "198.18.0.11-198.18.0.99",
            "vip": "198.18.0.10",
        }
    },
    "cairn_host_number": 11,
    "cairn_nics": {"mgmt0": {"mac": "52:54:00:18:01:11"}},
    "cairn_host_planes": {"management": {"interface": "mgmt0"}},
    "lab_memory_mb": 512,
}
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def lab(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The commands of a lab of one small machine called `solo`; removed afterwards."""
    inventory = tmp_path_factory.mktemp("solo")
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"solo": HOST}}}))
    command = [sys.executable, "-m", "lab", "--name", LAB, "--inventory", str(inventory)]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], cwd=root, capture_output=True, text=True, check=False
        )

    run("destroy")
    yield run
    assert run("destroy").returncode == 0


def test_a_machine_boots_to_ssh_by_translation_alone(
    lab: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    up = lab("--hypervisor", "tcg", "up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert f"lab {LAB} (tcg) is up" in up.stdout
    ready = re.search(r"^solo +198\.18\.0\.11 +([\d.]+) s$", up.stdout, re.M)
    assert ready, up.stdout
    with capsys.disabled():
        whole = time.monotonic() - begun
        print(f"\nSSH answers {ready[1]} s after QEMU's start, {whole:.0f} s with what was built")
    there = lab("ssh", "solo", "hostname; systemd-detect-virt; ls /sys/class/net; lsblk -ndo NAME")
    assert there.stdout.split() == ["solo", "qemu", "eth0", "lo", "vda"]


def test_its_lab_stays_with_it(lab: Command) -> None:
    other = lab("--hypervisor", "uml", "up")
    assert other.returncode == 1
    assert f"lab {LAB} runs on tcg: destroy it first" in other.stderr
    assert "was running" in lab("up").stdout


def test_it_shuts_down_in_good_order(lab: Command) -> None:
    stopped = lab("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "power was cut" not in stopped.stdout
