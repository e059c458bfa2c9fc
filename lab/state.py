"""What a lab leaves on disk: `.lab/<name>/`, and which processes in it are alive."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import network
from lab.inventory import Host, Site
from lab.run import LabError, call

PROJECT = Path(__file__).resolve().parent.parent
MARK = "CAIRN_MACHINE"
HELPER = Path(__file__).with_name("connect.py")


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    started: int  # clock ticks since the machine booted

    @classmethod
    def of(cls, pid: int) -> Process:
        """The running process `pid`; ProcessLookupError if there is none."""
        started = _started(pid)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return self.started == _started(self.pid)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        up = float(Path("/proc/uptime").read_text().split()[0])
        return up - self.started / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Resident memory in MiB, shared pages included: a guest's memory is a shared file."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) // 1024 if found else 0

    def kill(self) -> None:
        """Kill it and the processes that it started in its own group."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def _started(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # a command's name may hold blanks and brackets
    return None if fields[0] in "ZX" else int(fields[19])


class State:
    """The folder of one lab."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        """The lab `name`; nothing is made yet."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise LabError(f"{name!r} is no name for a lab: use a-z, 0-9 and '-', 31 at most")
        self.name = name
        self.folder = (base or PROJECT / ".lab") / name

    @property
    def runtime(self) -> Path:
        """Where UML's control sockets lie: their paths must be short."""
        return Path("/run/cairn") / self.name

    def file(self, name: str) -> Path:
        """A file of the lab's folder."""
        return self.folder / name

    def disk(self, host: Host, number: int) -> Path:
        """The image of a host's disk."""
        return self.folder / "disks" / f"{host.name}.{number}"

    def console(self, host: Host) -> Path:
        """What a host's console printed since it was last started."""
        return self.folder / "consoles" / f"{host.name}.log"

    def mark(self, host: str) -> str:
        """What a machine's environment says about whose it is."""
        return f"{MARK}={self.folder}/{host}"

    def running(self) -> dict[str, Process]:
        """The lab's running machines by host.

        Read from the processes themselves, so that nothing can be out of date: a machine has its
        mark from its start on, even if the command that started it has died.
        """
        return {path.name: process for path, process in _machines() if path.parent == self.folder}

    def refuse_namesake(self) -> None:
        """LabError if a lab of this name, but of another checkout of the project, is running."""
        for path, _ in _machines():
            if path.parent.name == self.name and path.parent != self.folder:
                raise LabError(
                    f"another lab {self.name} is running, that of {path.parents[2]}: "
                    "stop that one, or use another --name"
                )

    def make(self, site: Site) -> None:
        """Folders, keys and the files by which ssh and ansible reach the hosts."""
        for part in ("disks", "consoles", "hostkeys"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.runtime.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        _keypair(self.file("id_ed25519"), f"cairn lab {self.name}")
        for host in site.hosts:
            _keypair(self.file(f"hostkeys/{host.name}"), host.name)
        write(
            self.file("known_hosts"),
            "".join(
                f"{host.name},{host.address.ip} {self._public(f'hostkeys/{host.name}')}\n"
                for host in site.hosts
            ),
        )
        write(self.file("ssh_config"), ssh_config(self, site))
        write(self.file("python"), python_wrapper(self.name), mode=0o755)

    def _public(self, name: str) -> str:
        return " ".join(self.file(f"{name}.pub").read_text().split()[:2])

    def guest_files(self, host: Host) -> dict[str, tuple[bytes, int]]:
        """Files that make a copy of the image this host: path to content and mode."""
        private = self.file(f"hostkeys/{host.name}")
        public = private.with_suffix(".pub")
        machine_id = uuid.uuid5(uuid.NAMESPACE_OID, public.read_text()).hex
        texts = {
            "etc/hostname": f"{host.name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost\n",
            "etc/machine-id": f"{machine_id}\n",
            "etc/ssh/ssh_host_ed25519_key.pub": public.read_text(),
            **boot_network(host),
        }
        return {
            **{name: (text.encode(), 0o644) for name, text in texts.items()},
            "etc/ssh/ssh_host_ed25519_key": (private.read_bytes(), 0o600),
            "root/.ssh/authorized_keys": (self.file("id_ed25519.pub").read_bytes(), 0o600),
        }

    def forget_connections(self) -> None:
        """Make the next ssh of Ansible open a new connection; existing ones continue.

        A shared connection to a machine that lost its power hangs for a minute before it ends.
        """
        for control_socket in (self.runtime / "ssh").glob("*"):
            control_socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget the lab."""
        for folder in (self.folder, self.runtime):
            if folder.exists():
                shutil.rmtree(folder)


def _machines() -> Iterator[tuple[Path, Process]]:
    """The machines of all labs: the path in their mark, and their process."""
    prefix = f"{MARK}=".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # processes come and go
            pid = int(folder.name)
            if os.getsid(pid) != pid:
                continue
            for entry in (folder / "environ").read_bytes().split(b"\0"):
                if entry.startswith(prefix):
                    yield Path(entry.removeprefix(prefix).decode()), Process.of(pid)


def boot_network(host: Host) -> dict[str, str]:
    """Units that bring up a bare host's management address, as an installer leaves them."""
    folder = "etc/systemd/network"
    mac = next(nic.mac for nic in host.nics if nic.name == host.boot_nic)
    # VLANs and bonds share their NIC's MAC: `Type` keeps the match to the NIC itself.
    match = f"[Match]\nMACAddress={mac}\nType=ether\n"
    address = f"[Network]\nAddress={host.address}\nIPv6AcceptRA=no\n"
    if host.gateway:
        address += f"Gateway={host.gateway}\n"
    if not host.boot_vlan:
        return {f"{folder}/10-bootstrap.network": f"{match}\n{address}"}
    return {
        f"{folder}/10-bootstrap.network": f"{match}\n[Network]\nVLAN=bootstrap\n",
        f"{folder}/10-bootstrap.netdev":
            f"[NetDev]\nName=bootstrap\nKind=vlan\n\n[VLAN]\nId={host.boot_vlan}\n",
        f"{folder}/10-bootstrap-vlan.network": f"[Match]\nName=bootstrap\n\n{address}",
    }  # fmt: skip


def ssh_config(state: State, site: Site) -> str:
    """A configuration for `ssh -F`: names, addresses and keys of the lab and of nothing else."""
    proxy = shlex.join([sys.executable, "-IS", str(HELPER), str(network.path(state.name))])
    hosts = "".join(f"Host {host.name}\n  HostName {host.address.ip}\n" for host in site.hosts)
    return (
        f"{hosts}Host *\n"
        f"  User root\n"
        f'  IdentityFile "{state.file("id_ed25519")}"\n'
        f"  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{state.file("known_hosts")}"\n'
        f"  GlobalKnownHostsFile none\n"
        f"  StrictHostKeyChecking yes\n"
        f"  ProxyCommand {proxy} %h %p\n"
        f"  ProxyUseFdpass yes\n"
        f"  ServerAliveInterval 15\n"
        f"  ServerAliveCountMax 4\n"
        f"  ConnectTimeout 30\n"
    )


def python_wrapper(lab: str) -> str:
    """A script that starts the control node's Python inside the lab's network."""
    command = shlex.join([*network.enter(lab), sys.executable])
    return f'#!/bin/sh\nexec {command} "$@"\n'


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file atomically."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.chmod(mode)
    part.rename(path)


def _keypair(path: Path, comment: str) -> None:
    public = path.with_suffix(".pub")
    if path.exists() and public.exists():
        return
    path.unlink(missing_ok=True)
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
