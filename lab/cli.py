"""The commands of `python -m lab`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import hypervisor, inventory, machines, network, requirements
from lab.inventory import Host, Site
from lab.run import LabError
from lab.state import PROJECT, State, write

NEEDED = [
    "debugfs",
    "ip",
    "mke2fs",
    "mmdebstrap",
    "nft",
    "nsenter",
    "setpriv",
    "ssh",
    "ssh-keygen",
    "unshare",
]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m lab", description="Virtual machines that look like an inventory's hosts."
    )
    top.add_argument(
        "--name",
        default=os.environ.get("CAIRN_LAB") or "lab",
        help="the lab, if there are several (default: CAIRN_LAB, or 'lab')",
    )
    top.add_argument(
        "--inventory",
        type=Path,
        help="the inventory's folder (default: the one with the lab's name, or inventories/lab)",
    )
    top.add_argument(
        "--hypervisor",
        choices=["auto", "kvm", "uml", "tcg"],
        help="what runs the machines: KVM, User-Mode Linux or QEMU's translation "
        "(default: as the lab was created; for a new lab 'auto', by the processor's features)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *, hosts: str = "", rest: str = "") -> None:
        command = commands.add_parser(name, help=text, description=text)
        if hosts == "1":
            command.add_argument("host", metavar="HOST")
        elif hosts:
            command.add_argument("hosts", metavar="HOST", nargs=hosts)
        if rest:
            command.add_argument("words", metavar=rest, nargs=argparse.REMAINDER)

    add("build", "build kernel and image, which all labs share")
    add("up", "create and start the hosts that are missing, wait for SSH", hosts="*")
    add("status", "show each machine: state, address, memory, uptime")
    add("ssh", "log in to a host, or run a command there", hosts="1", rest="CMD")
    add("console", "follow a host's console", hosts="1")
    add("exec", "run a command inside the lab's network", rest="CMD")
    add("start", "start hosts", hosts="+")
    add("stop", "shut hosts down (default: all of them)", hosts="*")
    add("kill", "cut the power of hosts, without a shutdown", hosts="+")
    add("machines", "print as JSON what machines the inventory describes")
    add("destroy", "remove the lab: machines, disks, networks, keys")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command; its exit status."""
    arguments = parser().parse_args(argv)
    try:
        return run(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nlab: interrupted; run the same command to continue", file=sys.stderr)
        return 130


def run(arguments: argparse.Namespace) -> int:
    """Run the command of the command line."""
    if arguments.command == "machines":
        site = inventory.read(arguments.inventory or inventory_of(arguments.name))
        print(json.dumps(inventory.described(site), indent=2))
        return 0
    check_machine()
    state = State(arguments.name)
    if arguments.command == "destroy":
        with machines.exclusive(state):
            machines.destroy(state)
        return 0
    if arguments.command == "exec":
        return _exec(state, arguments.words)
    kind = _hypervisor(state, arguments.hypervisor)
    if arguments.command == "build":
        kind.build()
        return 0
    site = inventory.read(arguments.inventory or inventory_of(arguments.name))
    if arguments.command == "status":
        return _status(state, site)
    if arguments.command == "console":
        return _console(state, site.host(arguments.host))
    if arguments.command == "ssh":
        _must_exist(state)
        return machines.ssh(state, site.host(arguments.host), *_words(arguments.words))
    hosts = [site.host(name) for name in arguments.hosts] or list(site.hosts)
    with machines.exclusive(state):
        if arguments.command == "stop":
            for host in machines.stop(state, hosts):
                print(f"{host.name} did not shut down: its power was cut")
        elif arguments.command == "kill":
            machines.kill(state, hosts)
        else:
            _up(state, site, kind, hosts)
    return 0


def check_machine() -> None:
    """Raise LabError, naming what is missing on this machine."""
    if os.geteuid():
        raise LabError("network namespaces and taps need root: run it with sudo")
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        raise LabError(
            f"{', '.join(missing)} not found; install what lab/packages.txt lists: "
            f"apt-get install {' '.join(requirements())}"
        )
    if not Path("/dev/net/tun").exists():
        raise LabError("there is no /dev/net/tun: load the module (modprobe tun)")


def inventory_of(lab: str) -> Path:
    """The default inventory of a lab: the one with its name, or inventories/lab."""
    own = PROJECT / "inventories" / lab
    return own if own.is_dir() else PROJECT / "inventories/lab"


def _hypervisor(state: State, wanted: str | None) -> hypervisor.Hypervisor:
    """The hypervisor: as asked, as the lab was created, or by the processor's features."""
    mark = state.file("hypervisor")
    before = mark.read_text().strip() if mark.exists() else None
    if wanted and before and hypervisor.choose(wanted).name != before:
        raise LabError(
            f"lab {state.name} runs on {before}: destroy it first, or use another --name"
        )
    return hypervisor.choose(before or wanted or "auto")


def _up(state: State, site: Site, kind: hypervisor.Hypervisor, hosts: list[Host]) -> None:
    if network.allow_forwarding():
        print("lab: switched on net.ipv4.ip_forward, so that guests reach package mirrors")
    started = time.monotonic()
    need = sum(host.memory for host in hosts if host.name not in state.running())
    if need > machines.free_memory():
        print(
            f"lab: the machines may take {need} MiB, {machines.free_memory()} MiB are free",
            file=sys.stderr,
        )
    state.folder.mkdir(parents=True, exist_ok=True)
    write(state.file("hypervisor"), f"{kind.name}\n")
    rows = [("HOST", "ADDRESS", "READY")]
    for report in machines.up(state, site, kind, hosts):
        ready = f"{report.seconds:.1f} s" if report.seconds else "was running"
        rows.append((report.host.name, str(report.host.address.ip), ready))
    _table(rows)
    print(f"lab {state.name} ({kind.name}) is up in {time.monotonic() - started:.1f} s")


def _status(state: State, site: Site) -> int:
    running = state.running()
    with ThreadPoolExecutor(max_workers=max(1, len(site.hosts))) as pool:
        answers = dict(
            zip(
                site.hosts,
                pool.map(
                    lambda host: host.name in running and machines.greets(state.name, host),
                    site.hosts,
                ),
                strict=True,
            )
        )
    rows = [("HOST", "STATE", "ADDRESS", "MEMORY", "UPTIME", "SEGMENTS")]
    for host in site.hosts:
        process = running.get(host.name)
        wires = " ".join(nic.segment for nic in host.nics)
        where = str(host.address.ip)
        if process is None:
            what = "off" if state.disk(host, 0).exists() else "not made"
            rows.append((host.name, what, where, f"{host.memory} MiB", "", wires))
        else:
            what = "up" if answers[host] else "no SSH"
            minutes, seconds = divmod(int(process.seconds), 60)
            rows.append(
                (
                    host.name,
                    what,
                    where,
                    f"{process.memory} of {host.memory} MiB",
                    f"{minutes} min {seconds:02} s",
                    wires,
                )
            )
    _table(rows)
    return 0 if all(answers.values()) else 3


def _console(state: State, host: Host) -> int:
    log = state.console(host)
    if not log.exists():
        raise LabError(f"{host.name} was never started")
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(["tail", "-n", "40", "-F", str(log)], check=False)
    return 0


def _exec(state: State, words: list[str]) -> int:
    _must_exist(state)
    command = _words(words) or [os.environ.get("SHELL", "/bin/sh")]
    return subprocess.run([*network.enter(state.name), *command], check=False).returncode


def _must_exist(state: State) -> None:
    if not network.exists(state.name):
        raise LabError(f"lab {state.name} is not up: python -m lab --name {state.name} up")


def _words(words: list[str]) -> list[str]:
    return words[1:] if words[:1] == ["--"] else words


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
