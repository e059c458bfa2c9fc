"""Two ways to run a guest: User-Mode Linux, and QEMU with or without KVM."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Protocol

from lab import image, kernel, network, qemu
from lab.inventory import Host
from lab.run import LabError
from lab.state import State

BOOT = Path(__file__).with_name("boot.py")
# Debian loads these modules without their sample devices; built in, they need options for that.
MODULE_OPTIONS = ["bonding.max_bonds=0", "dummy.numdummies=0", "ifb.numifbs=0"]


class Hypervisor(Protocol):
    """What the lab needs of a hypervisor."""

    name: str

    def build(self) -> tuple[Path, Path]:
        """The kernel's folder and the guest image, built if they are missing."""

    def command(self, state: State, host: Host, kernel: Path) -> list[str]:
        """The command that runs a host until it is switched off."""

    def environment(self, kernel: Path) -> dict[str, str]:
        """Variables for that command."""


class Uml:
    """User-Mode Linux: the kernel runs as a process. One CPU per guest."""

    name = "uml"

    def build(self) -> tuple[Path, Path]:
        """See Hypervisor."""
        built = kernel.build()
        return built, image.build(built)

    def command(self, state: State, host: Host, kernel: Path) -> list[str]:
        """See Hypervisor."""
        disks = [f"ubd{number}={state.disk(host, number)}" for number in range(len(host.disks))]
        nics = [
            f"vec{number}:transport=tap,ifname={network.tap(host, nic)},depth=128,gro=1,"
            f"mac={nic.mac},mtu={nic.mtu}"
            for number, nic in enumerate(host.nics)
        ]
        return [
            str(BOOT), "seccomp=on", f"mem={host.memory}M", *disks,
            "root=/dev/ubda", "rw",
            # Closed standard input on con0 would stop the boot.
            "con0=null,fd:1", "con=null", f"umid={host.name}", f"uml_dir={state.runtime}",
            *MODULE_OPTIONS, *nics,
        ]  # fmt: skip

    def environment(self, kernel: Path) -> dict[str, str]:
        """See Hypervisor: the memory file belongs in /dev/shm."""
        return {
            "CAIRN_UML": str(kernel / "linux"),
            "TMPDIR": "/dev/shm",  # noqa: S108
            "PATH": os.environ["PATH"],
        }


class Qemu:
    """QEMU with Debian's kernel, by hardware virtualisation (kvm) or translation (tcg)."""

    def __init__(self, accelerator: str) -> None:
        """With `kvm` or `tcg`."""
        self.name = accelerator

    def build(self) -> tuple[Path, Path]:
        """See Hypervisor."""
        built = qemu.kernel()
        return built, image.build(built)

    def command(self, state: State, host: Host, kernel: Path) -> list[str]:
        """See Hypervisor."""
        drives, nics = [], []
        for number in range(len(host.disks)):
            drives += [
                "-drive",
                f"file={state.disk(host, number)},format=raw,if=virtio,"
                "cache=writeback,discard=unmap",
            ]
        for number, nic in enumerate(host.nics):
            device = network.tap(host, nic)
            nics += [
                "-netdev", f"tap,id=n{number},ifname={device},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=n{number},mac={nic.mac}",
            ]  # fmt: skip
        cpu = "host" if self.name == "kvm" else "max"
        return [
            "qemu-system-x86_64", "-name", f"{state.name}-{host.name}", "-nodefaults",
            "-machine", f"q35,accel={self.name}", "-cpu", cpu, "-smp", str(host.cpus),
            "-m", str(host.memory), "-display", "none", "-serial", "stdio", "-monitor", "none",
            "-device", "virtio-rng-pci",
            "-kernel", str(kernel / "vmlinuz"), "-initrd", str(kernel / "initrd"),
            "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0",
            *drives, *nics,
        ]  # fmt: skip

    def environment(self, kernel: Path) -> dict[str, str]:
        """See Hypervisor."""
        return {"PATH": os.environ["PATH"]}


def choose(wanted: str) -> Hypervisor:
    """The hypervisor `wanted`, or for `auto` what suits the processor.

    /dev/kvm may exist and still not boot a kernel: the processor's flags decide.
    """
    flags = Path("/proc/cpuinfo").read_text()
    virtual = bool(re.search(r"(?m)^flags\s*:.*\b(vmx|svm)\b", flags)) and Path("/dev/kvm").exists()
    if wanted == "auto":
        wanted = "kvm" if virtual else "uml"
    if wanted == "kvm" and not virtual:
        raise LabError(
            "this processor shows neither vmx nor svm (or there is no /dev/kvm): "
            "use --hypervisor uml, or tcg for a slow QEMU"
        )
    if wanted == "uml":
        return Uml()
    if not shutil.which("qemu-system-x86_64"):
        raise LabError("qemu-system-x86_64 is missing: apt-get install qemu-system-x86")
    return Qemu(wanted)
