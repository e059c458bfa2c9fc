"""From an inventory to virtual machines: what hosts, NICs, planes and disks a lab has."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from cairn.site.planes import Problem, Reader, read_first_number, read_number
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
    hosts = tuple(_host(name, values) for name, values in members.items())
    _refuse_twins(hosts)
    segments: dict[str, int] = {}
    for host in hosts:
        for nic in host.nics:
            segments[nic.segment] = max(segments.get(nic.segment, 1500), nic.mtu)
    return Site(hosts, segments, _gateways(members, hosts))


def _host(name: str, values: Vars) -> Host:
    least = _number(name, values, "lab_nic_mtu", 9000, 1280)
    nics = tuple(
        Nic(nic, str(spec["mac"]).lower(), str(spec.get("lab_segment", nic)),
            max(_mtu(name, spec.get("mtu")), least))
        for nic, spec in values["cairn_nics"].items()
    )  # fmt: skip
    disks = values.get("lab_disks", [])
    if not isinstance(disks, list):
        raise LabError(f"{name}: lab_disks is {disks!r}; it must be a list of sizes in GiB")
    try:
        plane = values["cairn_planes"]["management"]
        where = values["cairn_host_planes"]["management"]
        boot_nic = _nic(values, where["interface"])
        address = _address(name, values, plane, where)
    except KeyError as missing:
        raise LabError(f"{name}: its management plane lacks {missing}") from missing
    stated = values.get("ansible_host", str(address.ip))
    if stated != str(address.ip):
        raise LabError(f"{name}: ansible_host is {stated}, but its management address {address.ip}")
    gateway = plane.get("gateway")
    return Host(
        name=name,
        memory=_number(name, values, "lab_memory_mb", 2048, 1),
        cpus=_number(name, values, "lab_cpus", 1, 1),
        nice=_number(name, values, "lab_nice", 0, 0, 19),
        disks=(
            _number(name, values, "lab_system_disk_gb", 20, 1),
            *(_number(name, {"lab_disks": size}, "lab_disks", 0, 1) for size in disks),
        ),
        nics=nics,
        boot_nic=boot_nic,
        boot_vlan=_vlan(name, plane, where),
        address=address,
        gateway=IPv4Address(gateway) if gateway else None,
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


def _mtu(host: str, value: Any) -> int:
    problems: list[Problem] = []
    read = 1500 if value is None else Reader(problems, "mtu", host).mtu("a NIC or plane", value)
    return _checked(read, problems)


def _checked(number: int | None, problems: list[Problem]) -> int:
    if number is None or problems:
        raise LabError("; ".join(problem.sentence() for problem in problems))
    return number


def _refuse_twins(hosts: tuple[Host, ...]) -> None:
    seen: dict[str, str] = {}
    for host in hosts:
        for mark in [*(nic.mac for nic in host.nics), str(host.address.ip)]:
            if mark in seen:
                raise LabError(f"{host.name} and {seen[mark]} both have {mark}")
            seen[mark] = host.name


def _nic(values: Vars, interface: str) -> str:
    """The NIC under an interface: itself, or a bond's first member."""
    bond = (values.get("cairn_bonds") or {}).get(interface)
    return str(bond["members"][0] if bond else interface)


def _vlan(host: str, plane: Vars, where: Vars) -> int:
    """The VLAN of a plane on a host, 0 for untagged frames."""
    problems: list[Problem] = []
    given = where["vlan"] if "vlan" in where else plane.get("vlan")
    read = Reader(problems, "cairn_planes", host).vlan("a plane", given)
    return _checked(read or 0, problems)


def _address(host: str, values: Vars, plane: Vars, where: Vars) -> IPv4Interface:
    network = IPv4Network(plane["cidr"])
    if where.get("address"):
        address = IPv4Address(str(where["address"]).split("/")[0])
    else:
        first = IPv4Address(str(plane["range"]).split("-")[0].strip())
        problems: list[Problem] = []
        start = read_first_number(values.get("cairn_first_host_number"), problems)
        number = read_number(host, values["cairn_host_number"], start, problems)
        address = first + (_checked(number, problems) - start)
    return IPv4Interface((address, network.prefixlen))


def _gateways(members: Mapping[str, Vars], hosts: tuple[Host, ...]) -> tuple[Gateway, ...]:
    """The lab's own addresses: one in each plane and each flat provider network.

    In a plane it is the gateway, or without one the network's first address. Segment and VLAN are
    those of the hosts that have the plane; provider networks are untagged, beside the public plane.
    """
    found: dict[str, Gateway] = {}
    for host in hosts:
        values = members[host.name]
        segment = {nic.name: nic.segment for nic in host.nics}
        public = values.get("cairn_public_plane") or "service"
        for name, where in values.get("cairn_host_planes", {}).items():
            plane = values["cairn_planes"][name]
            network = IPv4Network(plane["cidr"])
            wire = segment[_nic(values, where["interface"])]
            own = ipaddress.ip_address(plane.get("gateway") or next(network.hosts()))
            gateway = Gateway(
                wire,
                _vlan(host.name, plane, where),
                IPv4Interface((str(own), network.prefixlen)),
                _mtu(host.name, plane.get("mtu")),
            )
            if found.setdefault(name, gateway) != gateway:
                raise LabError(
                    f"{host.name}: plane {name} is on segment {wire}, VLAN "
                    f"{gateway.vlan}, but elsewhere on {found[name].segment}, VLAN "
                    f"{found[name].vlan}; lab_segment in cairn_nics joins NICs"
                )
            if name == public:
                for provider, net in values.get("cairn_provider_networks", {}).items():
                    if net.get("type") == "flat" and net.get("gateway"):
                        prefix = IPv4Network(net["cidr"]).prefixlen
                        found.setdefault(
                            f"provider {provider}",
                            Gateway(
                                wire,
                                0,
                                IPv4Interface((net["gateway"], prefix)),
                                _mtu(host.name, net.get("mtu")),
                            ),
                        )
    return tuple(found.values())
