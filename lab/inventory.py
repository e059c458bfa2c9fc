"""From an inventory to virtual machines: what hosts, NICs, planes and disks a lab has."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

from cairn.site import planes
from cairn.site.planes import DEFAULT_MTU, MTU_RANGE, Problem, Reader
from lab import cache
from lab.run import LabError, call

Vars = Mapping[str, Any]


@dataclass(frozen=True)
class Nic:
    """A network card: name in the inventory, MAC address, and the segment it is connected to."""

    name: str
    mac: str
    segment: str
    mtu: int


@dataclass(frozen=True)
class Host:
    """A virtual machine. Memory in MiB, disks in GiB; `disks[0]` is the system's.

    `nice`, from 0 to 19, lowers its priority when processors are busy.
    """

    name: str
    memory: int
    cpus: int
    nice: int
    disks: tuple[int, ...]
    nics: tuple[Nic, ...]
    boot_nic: str
    boot_vlan: int
    address: IPv4Interface
    gateway: IPv4Address | None


@dataclass(frozen=True)
class Gateway:
    """An address of the lab itself on a segment, where an operator or a router would be."""

    segment: str
    vlan: int
    address: IPv4Interface
    mtu: int


@dataclass(frozen=True)
class Site:
    """Everything that a lab consists of. `segments` maps each wire to its largest MTU."""

    hosts: tuple[Host, ...]
    segments: Mapping[str, int]
    gateways: tuple[Gateway, ...]

    def host(self, name: str) -> Host:
        """The host of that name; LabError lists the known names if there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise LabError(f"{name}: no such host in this lab; there are {known}")


def described(site: Site) -> list[dict[str, Any]]:
    """The machines as plain data, for other makers of machines than the lab."""
    return [
        {
            "name": host.name,
            "memory": host.memory,
            "cpus": host.cpus,
            "disks": host.disks,
            "address": str(host.address.ip),
            "netmask": str(host.address.netmask),
            "gateway": str(host.gateway) if host.gateway else None,
            "boot_nic": host.boot_nic,
            "nics": [{**asdict(nic), "mtu": site.segments[nic.segment]} for nic in host.nics],
        }
        for host in site.hosts
    ]


def read(folder: Path) -> Site:
    """The site that the inventory `folder` describes."""
    return site(_hostvars(folder))


def _hostvars(folder: Path) -> dict[str, dict[str, Any]]:
    """Ansible's own view of the inventory: host to variables; kept until a file changes.

    Files encrypted with ansible-vault are left out: making machines needs no secret.
    """
    if not folder.exists():
        raise LabError(f"{folder}: there is no such inventory")
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and not _hidden(path, folder)
    ]
    kept = [path for path in files if not path.read_bytes().startswith(b"$ANSIBLE_VAULT")]
    name = cache.key(
        *(part for path in kept for part in (str(path.relative_to(folder)), path.read_bytes()))
    )
    stored = cache.root() / f"inventory-{name}.json"
    if not stored.exists():
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / folder.name
            for path in kept:
                target = copy / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
            tool = Path(sys.executable).with_name("ansible-inventory")
            text = call([str(tool), "-i", str(copy), "--list"])
        part = stored.with_suffix(f".{os.getpid()}.part")
        part.write_text(text)
        part.rename(stored)
    answer: dict[str, dict[str, Any]] = json.loads(stored.read_text())["_meta"]["hostvars"]
    return answer


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def site(hostvars: Mapping[str, Vars]) -> Site:
    """The site that hosts' variables describe; hosts without `cairn_nics` get no machine."""
    members = {
        name: values for name, values in sorted(hostvars.items()) if values.get("cairn_nics")
    }
    if not members:
        raise LabError("no host of the inventory has cairn_nics: there is nothing to create")
    known, problems = planes.read_hosts(members, dict.fromkeys(members, ()))
    _refuse(problems)
    hosts = tuple(_machine(host, members[host.name]) for host in known.hosts.values())
    segments: dict[str, int] = {}
    for host in hosts:
        for nic in host.nics:
            segments[nic.segment] = max(segments.get(nic.segment, DEFAULT_MTU), nic.mtu)
    return Site(hosts, segments, _gateways(known, hosts))


def _machine(host: planes.Host, values: Vars) -> Host:
    least = _number(host.name, values, "lab_nic_mtu", 9000, *MTU_RANGE)
    nics = tuple(
        Nic(
            nic.name,
            str(nic.mac),
            str(values["cairn_nics"][nic.name].get("lab_segment", nic.name)),
            max(nic.mtu or DEFAULT_MTU, least),
        )
        for nic in host.nics.values()
    )
    disks = values.get("lab_disks", [])
    if not isinstance(disks, list):
        raise LabError(f"{host.name}: lab_disks is {disks!r}; it must be a list of sizes in GiB")
    management = host.on("management")
    if management is None:
        raise LabError(f"{host.name}: is not on the plane management, over which it is reached")
    stated = values.get("ansible_host", str(management.address))
    if stated != str(management.address):
        raise LabError(
            f"{host.name}: ansible_host is {stated}, but its management address is "
            f"{management.address}"
        )
    gateway = management.plane.gateway
    return Host(
        name=host.name,
        memory=_number(host.name, values, "lab_memory_mb", 2048, 1),
        cpus=_number(host.name, values, "lab_cpus", 1, 1),
        nice=_number(host.name, values, "lab_nice", 0, 0, 19),
        disks=(
            _number(host.name, values, "lab_system_disk_gb", 20, 1),
            *(_number(host.name, {"lab_disks": size}, "lab_disks", 0, 1) for size in disks),
        ),
        nics=nics,
        boot_nic=host.first_nic(management.interface),
        boot_vlan=management.vlan or 0,
        address=IPv4Interface(management.cidr),
        gateway=IPv4Address(str(gateway)) if gateway else None,
    )


def _number(
    host: str, values: Vars, variable: str, default: int, least: int, most: int = 2**24
) -> int:
    """A whole number in a host's variables, read as Cairn reads its own variables."""
    problems: list[Problem] = []
    value = values.get(variable)
    if value is None:
        return default
    reader = Reader(problems, variable, host)
    number = reader.integer(f"has {variable}", value, (least, most), "it must be a whole number,")
    return _checked(number, problems)


def _checked(number: int | None, problems: list[Problem]) -> int:
    _refuse(problems)
    if number is None:
        raise LabError("a number is missing")
    return number


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise LabError("; ".join(problem.sentence() for problem in problems))


def _gateways(known: planes.Site, hosts: tuple[Host, ...]) -> tuple[Gateway, ...]:
    """The lab's own addresses: one in each plane and each flat provider network.

    In a plane it is the gateway, or without one the network's first address. Segment and VLAN are
    those of the hosts that have the plane; provider networks are untagged, beside the public plane.
    """
    found: dict[str, Gateway] = {}
    for host in hosts:
        segment = {nic.name: nic.segment for nic in host.nics}
        for attachment in known.hosts[host.name].attachments:
            plane = attachment.plane
            wire = segment[known.hosts[host.name].first_nic(attachment.interface)]
            own = plane.gateway or plane.network[1]
            address = IPv4Interface(f"{own}/{plane.network.prefixlen}")
            gateway = Gateway(wire, attachment.vlan or 0, address, plane.mtu)
            if found.setdefault(plane.name, gateway) != gateway:
                raise LabError(
                    f"{host.name}: plane {plane.name} is on segment {wire}, VLAN "
                    f"{gateway.vlan}, but elsewhere on {found[plane.name].segment}, VLAN "
                    f"{found[plane.name].vlan}; lab_segment in cairn_nics joins NICs"
                )
            if plane.name != known.public_plane:
                continue
            for flat in known.flat_networks:
                if flat.gateway:
                    address = IPv4Interface(f"{flat.gateway}/{flat.network.prefixlen}")
                    gateway = Gateway(wire, 0, address, DEFAULT_MTU)
                    found.setdefault(f"provider {flat.name}", gateway)
    return tuple(found.values())
