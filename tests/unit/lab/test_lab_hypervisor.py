"""What starts a machine, and which hypervisor is chosen."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import hypervisor, network
from lab.hypervisor import Qemu, Uml
from lab.inventory import Host, Site
from lab.run import LabError
from lab.state import State

KERNEL = Path("/cache/kernel-1")


@pytest.fixture
def host(site: Site) -> Host:
    return dataclasses.replace(site.host("alpha"), disks=(20, 8), cpus=4)


def test_uml_has_the_host_s_memory_disks_and_nics(host: Host, tmp_path: Path) -> None:
    line = Uml().command(State("unit", tmp_path), host, KERNEL)
    assert os.access(line[0], os.X_OK)
    assert Uml().environment(KERNEL)["CAIRN_UML"] == "/cache/kernel-1/linux"
    assert {"mem=1024M", "seccomp=on", "con0=null,fd:1", "root=/dev/ubda"} <= set(line)
    assert f"ubd1={tmp_path}/unit/disks/alpha.1" in line
    nic = host.nics[1]
    assert line[-2] == (
        f"vec1:transport=tap,ifname={network.tap(host, nic)},depth=128,gro=1,"
        "mac=52:54:00:18:14:11,mtu=9000"
    )


def test_uml_keeps_its_memory_in_memory() -> None:
    assert Uml().environment(KERNEL)["TMPDIR"] == "/dev/shm"


@pytest.mark.parametrize(("accelerator", "cpu"), [("kvm", "host"), ("tcg", "max")])
def test_qemu_has_the_same_disks_and_taps(
    host: Host, tmp_path: Path, accelerator: str, cpu: str
) -> None:
    line = Qemu(accelerator).command(State("unit", tmp_path), host, KERNEL)
    text = " ".join(line)
    assert f"q35,accel={accelerator} -cpu {cpu} -smp 4 -m 1024" in text
    assert f"file={tmp_path}/unit/disks/alpha.1,format=raw" in text
    for number, nic in enumerate(host.nics):
        assert f"tap,id=n{number},ifname={network.tap(host, nic)},script=no" in text
        assert f"virtio-net-pci,netdev=n{number},mac={nic.mac}" in text


def choose(monkeypatch: pytest.MonkeyPatch, wanted: str, flags: str, *, kvm: bool) -> str:
    monkeypatch.setattr(Path, "read_text", lambda self: f"flags\t\t: fpu {flags} aes\n")
    monkeypatch.setattr(Path, "exists", lambda self: kvm)
    return hypervisor.choose(wanted).name


def test_the_processor_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert choose(monkeypatch, "auto", "svm", kvm=True) == "kvm"
    assert choose(monkeypatch, "auto", "vmx", kvm=False) == "uml"
    assert choose(monkeypatch, "auto", "vmmcall", kvm=True) == "uml"
    assert choose(monkeypatch, "tcg", "vmx", kvm=True) == "tcg"


def test_kvm_without_the_processor_s_help_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="neither vmx nor svm"):
        choose(monkeypatch, "kvm", "sse", kvm=True)


def test_a_missing_qemu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LabError, match="apt-get install qemu-system-x86"):
        choose(monkeypatch, "tcg", "", kvm=False)


def test_a_reboot_leaves_no_file_of_the_time_before_open(tmp_path: Path) -> None:
    kernel = tmp_path / "linux"
    kernel.write_text('#!/bin/sh\necho "$@"; ls /proc/self/fd; echo\n')
    kernel.chmod(0o755)
    with (tmp_path / "tap").open("w") as tap:
        done = subprocess.run(
            [hypervisor.BOOT, "mem=1M"],
            env={"CAIRN_UML": str(kernel), "PATH": os.environ["PATH"]},
            pass_fds=[tap.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
    said = done.stdout.splitlines()
    assert said[0] == "mem=1M"
    assert said[1:-1] == ["0", "1", "2", "3"]  # the last is of `ls` itself
