"""A lab's machines: create, start, watch, stop, remove."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import cache, network
from lab.connect import CLONE_NEWNET
from lab.hypervisor import Hypervisor
from lab.inventory import Host, Site
from lab.run import LabError, Progress, call
from lab.state import Process, State, write


@dataclass(frozen=True)
class Report:
    """The result for a host: seconds until SSH answered, 0.0 if it was running already."""

    host: Host
    seconds: float


@contextmanager
def exclusive(state: State) -> Iterator[None]:
    """Hold the lock of a lab: one command at a time changes it."""
    state.folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.lock(state.folder.parent / f".{state.name}.lock"):
        state.refuse_namesake()  # namespaces are the machine's, not the checkout's
        yield


def up(state: State, site: Site, hypervisor: Hypervisor, hosts: Iterable[Host]) -> list[Report]:
    """Create and start what is missing; return when SSH answers on each of `hosts`."""
    hosts = tuple(hosts)
    kernel, image = hypervisor.build()
    state.make(site)
    _network(state, site)
    running = state.running()
    stopped = [host for host in hosts if host.name not in running]
    progress = Progress(f"lab {state.name}")
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda host: prepare(state, host, image), stopped))
    for host in stopped:
        running[host.name] = start(state, host, hypervisor, kernel)
    begun = {host: time.monotonic() for host in stopped}
    limit = 60.0 if hypervisor.name == "kvm" else 600.0
    waiting = {host.name for host in hosts}
    given_up = threading.Event()

    def ready(host: Host) -> Report:
        wait_for_ssh(state, host, running[host.name], limit, given_up)
        waiting.discard(host.name)
        progress.show(f"waiting for {', '.join(sorted(waiting)) or 'nothing more'}")
        return Report(host, time.monotonic() - begun[host] if host in begun else 0.0)

    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        try:
            return list(pool.map(ready, hosts))
        finally:
            given_up.set()  # after Ctrl-C or one host's failure, wait for no other


def _network(state: State, site: Site) -> None:
    """Create the network unless the same one exists; running machines keep theirs."""
    mark = state.file("network")
    wanted = network.fingerprint(site)
    if mark.exists() and mark.read_text().strip() == wanted and network.exists(state.name):
        if not network.connected(state.name):  # another's `nft flush ruleset`, for one
            network.connect(state.name)
        return
    running = sorted(state.running())
    if running and network.exists(state.name):
        raise LabError(
            f"the inventory's networks are not those of the running lab: stop it first "
            f"(running: {', '.join(running)})"
        )
    mark.unlink(missing_ok=True)
    network.up(state.name, site)
    write(mark, f"{wanted}\n")


def prepare(state: State, host: Host, image: Path) -> None:
    """Create the disks that a host lacks: sparse copies of the image."""
    for number, size in enumerate(host.disks):
        disk = state.disk(host, number)
        if disk.exists():
            continue
        part = disk.with_name(f"{disk.name}.part")
        part.unlink(missing_ok=True)
        if number == 0:
            call(["cp", "--reflink=auto", "--sparse=always", str(image), str(part)])
            part.chmod(0o600)
            inject(part, state.guest_files(host))
            if part.stat().st_size != size << 30:
                os.truncate(part, size << 30)
                call(["resize2fs", str(part)])
        else:
            part.touch(0o600)
            os.truncate(part, size << 30)
        part.rename(disk)


def inject(disk: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """Write files into an ext4 image without mounting it."""
    with tempfile.TemporaryDirectory() as scratch:
        lines: list[str] = []
        made: set[Path] = set()
        for number, (name, (data, mode)) in enumerate(sorted(files.items())):
            source = Path(scratch) / str(number)
            source.write_bytes(data)
            for folder in reversed(Path("/", name).parents):
                if folder not in made:
                    made.add(folder)
                    lines.append(f"mkdir {folder}" if folder != Path("/") else "")
            lines += [
                f"rm /{name}",
                f"write {source} /{name}",
                f"set_inode_field /{name} mode 0{stat.S_IFREG | mode:o}",
                f"set_inode_field /{name} uid 0",
                f"set_inode_field /{name} gid 0",
            ]
        script = "\n".join(line for line in lines if line) + "\n"
        # debugfs reports folders that exist and files that do not, and continues.
        call(["debugfs", "-w", "-f", "-", str(disk)], input=script)
        for name, (data, _) in files.items():
            copy = Path(scratch) / "back"
            call(["debugfs", "-R", f"dump /{name} {copy}", str(disk)])
            if copy.read_bytes() != data:
                raise LabError(f"{disk}: could not write /{name} into it")


def wait_released(disk: Path, limit: float = 60) -> None:
    """Wait until no process holds the disk; LabError if one still does after `limit` seconds.

    A machine that has lost its power is a zombie, which holds its disks until the last of its
    threads has ended; freeing gigabytes takes a moment.
    """
    end = time.monotonic() + limit
    with disk.open("r+b") as handle:
        while True:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > end:
                    raise LabError(f"{disk} is in use: fuser {disk}") from None
                time.sleep(0.1)
            else:
                return


def start(state: State, host: Host, hypervisor: Hypervisor, kernel: Path) -> Process:
    """Start a host."""
    for number in range(len(host.disks)):
        wait_released(state.disk(host, number))
    console = state.console(host)
    if console.exists():
        console.rename(console.with_suffix(".log.1"))
    nice = ["nice", "-n", str(host.nice)] if host.nice else []
    with console.open("wb") as sink:
        process = subprocess.Popen(
            [*network.enter(state.name), *nice, *hypervisor.command(state, host, kernel)],
            env=hypervisor.environment(kernel) | dict([state.mark(host.name).split("=", 1)]),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if host.nice:
        # Where the kernel schedules by session (autogroup), only the group's nice value counts, and
        # only root may set it.
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/autogroup").write_text(str(host.nice))
    return Process.of(process.pid)


def wait_for_ssh(
    state: State, host: Host, process: Process, limit: float, given_up: threading.Event
) -> None:
    """Return when sshd accepts us; LabError with the end of the console if the machine stops."""
    end = time.monotonic() + limit
    while time.monotonic() < end and not given_up.wait(0.3):
        if not process.alive:
            raise LabError(f"{host.name} stopped while booting:\n{tail(state.console(host))}")
        if greets(state.name, host, 20.0) and ssh(state, host, "true", quiet=True) == 0:
            return
    if not given_up.is_set():
        raise LabError(
            f"{host.name} does not answer to SSH within {limit:.0f} s; its console:\n"
            f"{tail(state.console(host))}"
        )


def greets(lab: str, host: Host, patience: float = 2.0) -> bool:
    """Whether an SSH server answers on a host's management address within seconds."""
    try:
        # Only this thread moves into the namespace; a pool's threads end with the command.
        with network.path(lab).open() as handle:
            os.setns(handle.fileno(), CLONE_NEWNET)
        with socket.create_connection((str(host.address.ip), 22), timeout=patience) as peer:
            return peer.recv(4) == b"SSH-"
    except OSError:
        return False


def ssh(state: State, host: Host, *command: str, quiet: bool = False) -> int:
    """Run a command on a host (a shell without one); its exit status, 255 for no connection.

    With `quiet`, without input or output and for a minute at most.
    """
    argv = ["ssh", "-F", str(state.file("ssh_config"))]
    if not quiet:
        return subprocess.run([*argv, host.name, *command], check=False).returncode
    try:
        return subprocess.run(
            [*argv, "-o", "BatchMode=yes", host.name, *command],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        return 255


def stop(state: State, hosts: Iterable[Host], patience: float = 120.0) -> list[Host]:
    """Shut hosts down; return those whose power had to be cut."""
    running = state.running()
    state.forget_connections()

    def one(host: Host) -> bool:
        process = running.get(host.name)
        if process is None:
            return False
        if greets(state.name, host):
            ssh(state, host, "systemctl", "poweroff", quiet=True)
            if _gone(process, patience):
                return False
        process.kill()
        _gone(process, 10)
        return True

    hosts = tuple(hosts)
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return [host for host, cut in zip(hosts, pool.map(one, hosts), strict=True) if cut]


def kill(state: State, hosts: Iterable[Host]) -> None:
    """Cut the power of hosts."""
    running = state.running()
    state.forget_connections()
    for host in hosts:
        process = running.get(host.name)
        if process:
            process.kill()
            if not _gone(process, 10):
                raise LabError(f"{host.name}: process {process.pid} does not die")


def _gone(process: Process, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while process.alive:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def destroy(state: State) -> None:
    """Remove a lab: machines, networks, disks, keys."""
    for process in state.running().values():
        process.kill()
        _gone(process, 10)
    network.down(state.name)
    state.remove()


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a file."""
    if not path.exists():
        return "(nothing)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def free_memory() -> int:
    """MiB that guests may still take: free memory, and room in /dev/shm."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            shm = shutil.disk_usage("/dev/shm").free  # noqa: S108
            return min(int(line.split()[1]) // 1024, shm >> 20)
    raise LabError("/proc/meminfo has no MemAvailable")
