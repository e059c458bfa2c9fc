"""Facts about a host's hardware, system and network; standard library and one call of `ip`.

Runs on the managed host. Every reader takes the root of the file system, which tests replace.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .apt_sources import read_mirrors
from .network import read_network

# The addresses at which systemd-resolved answers.
RESOLVED = {"127.0.0.53", "127.0.0.54"}
FILESYSTEMS = ("/", "/opt", "/var", "/var/lib")
VIRTUALISATION_FLAGS = ("vmx", "svm")
# The state, in /proc/net, of listening sockets; for UDP, of unconnected ones.
WAITING = {"tcp": "0A", "udp": "07"}


def read_os(root: Path) -> dict[str, str]:
    """`id`, `version` and `codename` of os-release(5)."""
    text = (root / "etc/os-release").read_text()
    pairs = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, re.M))
    return {
        "id": pairs.get("ID", ""),
        "version": pairs.get("VERSION_ID", ""),
        "codename": pairs.get("VERSION_CODENAME", ""),
    }


def read_memory_mb(root: Path) -> int:
    """The host's total memory, in MiB."""
    total = re.search(r"^MemTotal:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.M)
    return int(total[1]) // 1024 if total else 0


def read_cpu_flags(root: Path) -> list[str]:
    """The processor's flags for hardware virtualisation."""
    line = re.search(r"^flags\s*:(.*)$", (root / "proc/cpuinfo").read_text(), re.M)
    flags = line[1].split() if line else []
    return [flag for flag in VIRTUALISATION_FLAGS if flag in flags]


def read_filesystems(paths: Iterable[str] = FILESYSTEMS) -> dict[str, dict[str, int]]:
    """Mount point to its `size_mb` and `free_mb`, each file system once."""
    devices: set[int] = set()
    filesystems = {}
    for path in paths:
        try:
            device, stat = os.stat(path).st_dev, os.statvfs(path)  # noqa: PTH116
        except OSError:
            continue
        if device not in devices:
            devices.add(device)
            unit = stat.f_frsize / 2**20
            filesystems[path] = {
                "size_mb": int(stat.f_blocks * unit),
                "free_mb": int(stat.f_bavail * unit),
            }
    return filesystems


def read_disks(root: Path) -> dict[str, dict[str, Any]]:
    """Block device to its size and whether it is used (by a partition, a holder or a mount)."""
    mounted = {line.split()[0] for line in (root / "proc/self/mounts").read_text().splitlines()}
    disks = {}
    for path in sorted((root / "sys/block").glob("*")):
        if re.match(r"(loop|ram|zram|dm-|sr|fd|md|nbd)", path.name):
            continue
        used = (
            f"/dev/{path.name}" in mounted
            or any(path.glob(f"{path.name}*/partition"))
            or any((path / "holders").glob("*"))
        )
        disks[path.name] = {"size_mb": int((path / "size").read_text()) // 2048, "used": used}
    return disks


def read_addresses() -> list[dict[str, Any]]:
    """The output of `ip -details -json address`; empty if iproute2 is not installed."""
    try:
        shown = subprocess.run(
            ["ip", "-details", "-json", "address"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        return []
    loaded: list[dict[str, Any]] = json.loads(shown)
    return [entry for entry in loaded if entry]


def read_nics(shown: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Interface name to mac (the permanent one), kind, mtu, up, link and addresses.

    `link` is None while the interface is down: only an interface that is up detects its cable.
    """
    nics = {}
    for entry in shown:
        flags = entry.get("flags", [])
        if "LOOPBACK" in flags:
            continue
        up = "UP" in flags
        slave = entry.get("linkinfo", {}).get("info_slave_data", {})
        nics[entry["ifname"]] = {
            "mac": slave.get("perm_hwaddr") or entry.get("permaddr") or entry.get("address", ""),
            "kind": entry.get("linkinfo", {}).get("info_kind", ""),
            "mtu": entry.get("mtu", 0),
            "max_mtu": entry.get("max_mtu", 0),
            "up": up,
            "link": ("NO-CARRIER" not in flags) if up else None,
            "addresses": [
                f"{a['local']}/{a['prefixlen']}"
                for a in entry.get("addr_info", [])
                if a.get("scope") == "global" and "local" in a
            ],
        }
    return nics


def read_listening(root: Path) -> list[dict[str, Any]]:
    """Listening sockets: port, protocol, address and the systemd unit (or the command).

    The unit is empty for sockets of the kernel, such as a tunnel's.
    """
    sockets: list[tuple[int, str, str, str]] = []
    for protocol, state in WAITING.items():
        for name, family in ((protocol, socket.AF_INET), (f"{protocol}6", socket.AF_INET6)):
            path = root / "proc/net" / name
            lines = path.read_text().splitlines()[1:] if path.exists() else []
            for fields in (line.split() for line in lines):
                if fields[3] == state:
                    address, _, port = fields[1].partition(":")
                    sockets.append((int(port, 16), protocol, _address(address, family), fields[9]))
    owners = _socket_owners(root, {inode for *_, inode in sockets})
    listening = {(port, kind, where, owners.get(inode, "")) for port, kind, where, inode in sockets}
    return [
        {"port": port, "protocol": protocol, "address": address, "unit": unit}
        for port, protocol, address, unit in sorted(listening)
    ]


def _address(text: str, family: socket.AddressFamily) -> str:
    """An address as in /proc/net/tcp: hex words in the machine's (little-endian) order."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    return socket.inet_ntop(family, words)


def _socket_owners(root: Path, inodes: set[str]) -> dict[str, str]:
    """Socket inode to the unit of the process that has it open, for these inodes."""
    owners: dict[str, str] = {}
    for process in (root / "proc").iterdir():
        if not process.name.isdigit() or len(owners) == len(inodes):
            continue
        try:
            for descriptor in os.scandir(process / "fd"):
                target = os.readlink(descriptor.path)  # noqa: PTH115
                inode = target[8:-1] if target.startswith("socket:[") else ""
                if inode in inodes and inode not in owners:
                    owners[inode] = _unit(process)
        except OSError:
            continue  # the process has ended
    return owners


def _unit(process: Path) -> str:
    """The innermost service of the process's control group, else its command."""
    group = (process / "cgroup").read_text().rpartition(":")[2].strip()
    units = [part for part in group.split("/") if part.endswith((".service", ".scope", ".socket"))]
    return units[-1] if units else (process / "comm").read_text().strip()


def read_name_servers(root: Path) -> dict[str, list[str]]:
    """The name servers: `servers` of resolv.conf, and those of systemd-resolved if it is used.

    `lent` are those that resolved has from links (by DHCP, netplan or networkd's units), `kept`
    those of its own configuration, see resolved.conf(5).
    """

    def servers(name: str) -> list[str]:
        try:
            text = (root / name).read_text(errors="replace")
        except OSError:
            return []
        return re.findall(r"^\s*nameserver\s+(\S+)", text, re.M)

    answer: dict[str, list[str]] = {"servers": servers("etc/resolv.conf"), "lent": [], "kept": []}
    if not RESOLVED & set(answer["servers"]):
        return answer
    lists: dict[str, list[str]] = {}
    folders = ("usr/lib/systemd", "run/systemd", "etc/systemd")
    paths = [root / folder / "resolved.conf" for folder in folders]
    paths += sorted(
        (path for folder in folders for path in (root / folder / "resolved.conf.d").glob("*.conf")),
        key=lambda path: path.name,
    )
    for path in paths:
        text = path.read_text(errors="replace") if path.is_file() else ""
        for key, value in re.findall(r"^((?:Fallback)?DNS)=(.*)$", text, re.M):
            # An empty assignment resets the list.
            lists[key] = [*lists.get(key, []), *value.split()] if value.strip() else []
    answer["kept"] = kept = [server for values in lists.values() for server in values]
    lent = servers("run/systemd/resolve/resolv.conf")
    answer["lent"] = [server for server in lent if server not in kept]
    return answer


def read_cloud_init(root: Path) -> list[str]:
    """The instance data that make cloud-init write /etc/hosts at every boot.

    They override /etc/cloud/cloud.cfg.d (cloudinit.helpers.ConfigMerger). Empty if cloud-init is
    not installed, or disabled.
    """
    off = (root / "etc/cloud/cloud-init.disabled").exists()
    if off or not (root / "usr/bin/cloud-init").exists():
        return []
    for name in ("cloud-config.txt", "vendor2-cloud-config.txt", "vendor-cloud-config.txt"):
        path = root / "var/lib/cloud/instance" / name
        text = path.read_text(errors="replace") if path.is_file() else ""
        setting = re.search(r"""^["']?manage_etc_hosts["']?:\s*["']?([A-Za-z0-9]+)""", text, re.M)
        if setting:  # the first file with the setting wins
            value = setting[1].lower()
            return [] if value in ("false", "no", "off", "0") else [f"/{path.relative_to(root)}"]
    return []


def read_service_proxy(root: Path) -> dict[str, str]:
    """A proxy that systemd sets for every service (DefaultEnvironment=): `file` and `no_proxy`.

    Empty without one. The proxy's URL is left out, as it may hold a password.
    """
    proxy: dict[str, str] = {}
    folders = ("usr/lib/systemd", "etc/systemd")
    paths = [root / folder / "system.conf" for folder in folders]
    paths += sorted(
        (path for folder in folders for path in (root / folder / "system.conf.d").glob("*.conf")),
        key=lambda path: path.name,
    )
    for path in paths:
        text = path.read_text(errors="replace") if path.is_file() else ""
        for line in re.findall(r"^DefaultEnvironment=(.*)$", text, re.M):
            if not line.strip():
                proxy = {}  # an empty assignment resets the list
            pairs = dict(re.findall(r"""(?i)\b((?:https?|all|no)_proxy)=([^"'\s]*)""", line))
            named = {name.lower(): value for name, value in pairs.items()}
            if set(named) - {"no_proxy"}:
                proxy["file"] = "/" + str(path.relative_to(root))
            if "no_proxy" in named:
                proxy["no_proxy"] = named["no_proxy"]
    return {"no_proxy": "", **proxy} if "file" in proxy else {}


def resolve(name: str) -> list[str]:
    """The IPv4 addresses to which this host resolves a name."""
    try:
        entries = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in entries})


def read_folders(root: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """Non-empty folders of /etc that are not links to a generation, with their Debian packages.

    A folder that was created manually has no package.
    """
    folders: dict[str, list[str]] = {
        name: []
        for name in names
        if (path := root / "etc" / name).is_dir() and not path.is_symlink() and any(path.iterdir())
    }
    lists = (root / "var/lib/dpkg/info").glob("*.list") if folders else ()
    for path in sorted(lists):
        lines = set(path.read_text(errors="replace").splitlines())
        for name in folders:
            if f"/etc/{name}" in lines:
                folders[name].append(path.stem.partition(":")[0])
    return folders


def read_host(
    root: Path = Path("/"), names: Iterable[str] = (), etc: Iterable[str] = ()
) -> dict[str, Any]:
    """The part of `cairn_host` that describes the machine.

    names: host names to resolve. etc: folders of /etc that will be links to a generation.
    """
    names = list(names)
    with ThreadPoolExecutor(max_workers=16) as pool:
        mirrors = pool.submit(lambda: dict(read_mirrors()))
        resolved = [pool.submit(resolve, name) for name in names]
        shown = read_addresses()
        nics = read_nics(shown)
        host = {
            "os": read_os(root),
            "python": ".".join(map(str, sys.version_info[:3])),
            "arch": os.uname().machine,
            "memory_mb": read_memory_mb(root),
            "cpus": os.cpu_count() or 1,
            "cpu_flags": read_cpu_flags(root),
            "filesystems": read_filesystems(),
            "disks": read_disks(root),
            "nics": nics,
            "listening": read_listening(root),
            "folders": read_folders(root, etc),
            "network": read_network(root, nics),
            "name_servers": read_name_servers(root),
            "cloud_init": read_cloud_init(root),
            "service_proxy": read_service_proxy(root),
            "time": time.time(),
        }
        host["mirrors"] = mirrors.result()
        host["resolved"] = {
            name: answer.result() for name, answer in zip(names, resolved, strict=True)
        }
    return host
