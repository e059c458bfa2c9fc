"""The plane model: it turns the inventory into addresses, and names every mistake.

A *plane* is a network of the site (management, storage, service, …): CIDR, VLAN, MTU, gateway,
VIP. A host attaches to a plane by a NIC or bond. `read_site` turns inventory data into a `Site`
and a list of all `Problem`s. `networkd.py` turns the `Site` into units. Control node only, pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeGuard

from netaddr import (
    EUI,
    INET_PTON,
    AddrFormatError,
    IPAddress,
    IPNetwork,
    IPRange,
    mac_unix_expanded,
)

from ..suggest import did_you_mean

GROUPS = ("controller", "network", "compute", "storage")
REQUIRED_PLANES = ("management", "storage", "service")
# Storage and network hosts need fewer planes: they serve no API and attach no volume.
GROUP_PLANES = {
    "controller": ("management", "storage", "service"),
    "network": ("management", "service"),
    "compute": ("management", "storage", "service"),
    "storage": ("management", "storage"),
}
FIRST_HOST_NUMBER = 11
DEFAULT_MTU = 1500
# 1280 is the minimum of IPv6; 9216 is the maximum of common Ethernet switches.
MTU_RANGE = (1280, 9216)
VLAN_RANGE = (1, 4094)
INTERFACE_NAME_MAX = 15  # IFNAMSIZ without the final NUL
BOND_MODES = (
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
)
# [Bond] of systemd.netdev(5), without Mode.
BOND_OPTIONS = (
    "AdActorSystem",
    "AdActorSystemPriority",
    "AdSelect",
    "AdUserPortKey",
    "AllSlavesActive",
    "ARPAllTargets",
    "ARPIntervalSec",
    "ARPIPTargets",
    "ARPMissedMax",
    "ARPValidate",
    "DownDelaySec",
    "DynamicTransmitLoadBalancing",
    "FailOverMACPolicy",
    "GratuitousARP",
    "LACPTransmitRate",
    "LearnPacketIntervalSec",
    "LearningPackets",
    "MIIMonitorSec",
    "MinLinks",
    "PacketsPerSlave",
    "PeerNotifyDelaySec",
    "PrimaryReselectPolicy",
    "ResendIGMP",
    "TransmitHashPolicy",
    "UpDelaySec",
)
PLANE_KEYS = ("cidr", "vlan", "mtu", "gateway", "range", "vip")
NIC_KEYS = ("mac", "mtu", "driver", "lab_segment")  # lab_segment is for the lab
BOND_KEYS = ("members", "mode", "mtu", "options")
ATTACHMENT_KEYS = ("interface", "address", "vlan")
PROVIDER_KEYS = {
    "flat": ("type", "cidr", "gateway", "allocation", "mtu"),
    "vlan": ("type", "vlans"),
}

# Stricter than netaddr, which accepts signs, spaces and underscores in the prefix.
NETWORK = re.compile(r"[0-9./]+")
# A dot separates the VLAN id in the names of VLAN devices.
INTERFACE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# A word of keepalived's configuration.
PLANE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Problem:
    """A mistake in the inventory; `host` is empty if it concerns the whole site."""

    variable: str
    text: str
    host: str = ""

    def sentence(self, file: str = "") -> str:
        """`compute3: plane storage has VLAN 4097; … (inventories/site/planes.yml)`."""
        return f"{self.host or 'site'}: {self.text}" + (f" ({file})" if file else "")


@dataclass(frozen=True)
class Plane:
    """A network of the site; `range` are the addresses for hosts, None if it has none."""

    name: str
    network: IPNetwork
    vlan: int | None
    mtu: int
    gateway: IPAddress | None
    vip: IPAddress | None
    range: IPRange | None


@dataclass(frozen=True)
class Nic:
    """A network card: Cairn's name for it, and the MAC address (None if wrong) of the card."""

    name: str
    mac: EUI | None
    mtu: int | None
    driver: str | None


@dataclass(frozen=True)
class Bond:
    """A bond of NICs; `options` are those of [Bond] in systemd.netdev(5)."""

    name: str
    members: tuple[str, ...]
    mode: str
    mtu: int
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Attachment:
    """The connection of a host to a plane."""

    plane: Plane
    interface: str
    vlan: int | None
    address: IPAddress

    @property
    def device(self) -> str:
        """The name of the device that has the address: the NIC or bond, or its VLAN device."""
        return self.interface if self.vlan is None else f"{self.interface}.{self.vlan}"

    @property
    def cidr(self) -> str:
        """The address with its prefix."""
        return f"{self.address}/{self.plane.network.prefixlen}"


@dataclass(frozen=True)
class Host:
    """A managed host with its NICs, bonds and planes; `number` is None if it is wrong."""

    name: str
    groups: tuple[str, ...]
    number: int | None = None
    nics: Mapping[str, Nic] = field(default_factory=dict)
    bonds: Mapping[str, Bond] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()

    @property
    def addresses(self) -> dict[str, str]:
        """Plane name to the host's address on it."""
        return {a.plane.name: str(a.address) for a in self.attachments}

    def mtu(self, interface: str) -> int:
        """MTU of a NIC or bond: that of its bond for a member, else its own, else 1500."""
        for bond in self.bonds.values():
            if interface == bond.name or interface in bond.members:
                return bond.mtu
        nic = self.nics.get(interface)
        return nic.mtu if nic and nic.mtu else DEFAULT_MTU

    def on(self, plane: str) -> Attachment | None:
        """The host's attachment to a plane; None without one."""
        return next((a for a in self.attachments if a.plane.name == plane), None)

    def first_nic(self, interface: str) -> str:
        """The NIC of an interface: itself, or the first member of a bond."""
        bond = self.bonds.get(interface)
        return bond.members[0] if bond else interface

    def provider_interface(self) -> str | None:
        """The NIC or bond in the provider bridge of a network host; None on other hosts."""
        service = self.on("service") if "network" in self.groups else None
        return service.interface if service else None


@dataclass(frozen=True)
class FlatNetwork:
    """A provider network without VLAN."""

    name: str
    network: IPNetwork
    gateway: IPAddress | None


@dataclass(frozen=True)
class Site:
    """All planes and all managed hosts."""

    planes: Mapping[str, Plane]
    hosts: Mapping[str, Host]
    public_plane: str = "service"
    flat_networks: tuple[FlatNetwork, ...] = ()

    def members(self, plane: str) -> list[Host]:
        """The hosts that are on a plane."""
        return [h for h in self.hosts.values() if plane in h.addresses]


@dataclass
class Reader:
    """Reads the values of one variable (of one host) and records their mistakes."""

    problems: list[Problem]
    variable: str
    host: str = ""

    def wrong(self, text: str) -> None:
        """Record a mistake."""
        self.problems.append(Problem(self.variable, text, self.host))

    def mapping(self, what: str, value: Any) -> dict[str, Any]:
        """A mapping with its keys as text; {} for another value."""
        if isinstance(value, Mapping):
            return {str(k): v for k, v in value.items()}
        self.wrong(f"{what} is {value!r}; it must be a mapping")
        return {}

    def keys(self, what: str, value: Any, known: Sequence[str]) -> dict[str, Any]:
        """A mapping; unknown keys are mistakes."""
        read = self.mapping(what, value)
        for key in read:
            if key not in known:
                self.wrong(f"{what} has an unknown key {key}{did_you_mean(key, known)}")
        return read

    def integer(self, what: str, value: Any, bounds: tuple[int, int], rule: str) -> int | None:
        """A whole number within `bounds`, or its text: templates return text."""
        text = str(value).strip()
        number = int(text) if re.fullmatch(r"-?\d+", text) else None
        if isinstance(value, bool) or number is None or not bounds[0] <= number <= bounds[1]:
            self.wrong(f"{what} {value}; {rule} {bounds[0]} to {bounds[1]}")
            return None
        return number

    def text(self, what: str, value: Any) -> str | None:
        """A text; None for null. An empty text is a mistake."""
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.wrong(f"{what} {value!r}; it must be text")
            return None
        return str(value)

    def vlan(self, what: str, value: Any) -> int | None:
        """A VLAN id, or None for untagged (null or 0)."""
        if value is None or str(value) == "0":
            return None
        return self.integer(f"{what} has VLAN", value, VLAN_RANGE, "a VLAN id is")

    def mtu(self, what: str, value: Any) -> int | None:
        """An MTU."""
        return self.integer(f"{what} has MTU", value, MTU_RANGE, "an MTU here is")

    def network(self, what: str, value: Any) -> IPNetwork | None:
        """A network without host bits."""
        try:
            network = IPNetwork(str(value) if NETWORK.fullmatch(str(value)) else "", version=4)
        except (AddrFormatError, ValueError):
            self.wrong(f"{what} has CIDR {value}; it must be an IPv4 network such as 10.0.0.0/24")
            return None
        if network.ip != network.network:
            mended = network.cidr
            self.wrong(f"{what} has CIDR {value}, a host's address; the network is {mended}")
            return None
        return network

    def address(self, what: str, value: Any, network: IPNetwork) -> IPAddress | None:
        """An address of `network` that a host can have."""
        try:
            address = IPAddress(str(value), version=4, flags=INET_PTON)
        except (AddrFormatError, ValueError):
            self.wrong(f"{what} {value}, which is no IPv4 address")
            return None
        if address not in network:
            self.wrong(f"{what} {address} outside its CIDR {network}")
            return None
        if network.size > 2 and address in (network.network, network.broadcast):
            self.wrong(f"{what} {address}, the network or broadcast address of {network}")
            return None
        return address

    def range(self, what: str, value: Any, network: IPNetwork) -> IPRange | None:
        """The range `first-last` in `network`."""
        first_text, dash, last_text = str(value).partition("-")
        if not dash:
            self.wrong(f"{what} {value}; write it as first-last, such as 10.0.0.11-10.0.0.99")
            return None
        first = self.address(f"{what} starting at", first_text.strip(), network)
        last = self.address(f"{what} ending at", last_text.strip(), network)
        if first is None or last is None:
            return None
        try:
            return IPRange(first, last)
        except AddrFormatError:
            self.wrong(f"{what} {value}, which ends before it starts")
            return None

    def mac(self, what: str, value: Any) -> EUI | None:
        """A MAC address in pairs of digits; netaddr accepts other forms as well."""
        text = str(value).lower().replace("-", ":")
        try:
            mac = EUI(text, version=48, dialect=mac_unix_expanded)
        except AddrFormatError:
            mac = None
        if str(mac) != text:
            self.wrong(f'{what} {value}; write it as "52:54:00:12:34:56", quoted')
            return None
        return mac


def read_plane(name: str, value: Any, problems: list[Problem]) -> Plane | None:
    """An entry of `cairn_planes`; None if its CIDR or range is wrong."""
    reader = Reader(problems, "cairn_planes")
    what = f"plane {name}"
    if not PLANE_NAME.fullmatch(name):
        reader.wrong(
            f"{what} cannot have this name; it consists of letters, digits, dots, _ and -, "
            "beginning with a letter or digit"
        )
    read = reader.keys(what, value, PLANE_KEYS)
    if "cidr" not in read:
        reader.wrong(f"{what} has no cidr")
        return None
    network = reader.network(what, read["cidr"])
    if network is None:
        return None
    vlan = reader.vlan(what, read.get("vlan"))
    mtu = read.get("mtu")
    mtu = DEFAULT_MTU if mtu is None else reader.mtu(what, mtu) or DEFAULT_MTU
    points: dict[str, IPAddress | None] = {}
    for key, title in (("gateway", "gateway"), ("vip", "VIP")):
        given = read.get(key)
        points[key] = (
            None if given is None else reader.address(f"{what} has {title}", given, network)
        )
    gateway, vip = points["gateway"], points["vip"]
    if gateway and gateway == vip:
        reader.wrong(f"{what} has VIP {vip}, which is its gateway")
    if read.get("range") is not None:
        host_range = reader.range(f"{what} has range", read["range"], network)
        if host_range is None:
            return None
        for title, point in (("gateway", gateway), ("VIP", vip)):
            if point and point in host_range:
                reader.wrong(
                    f"{what} has {title} {point} inside its range {host_range}; "
                    "a host could get the same address"
                )
    elif network.size > FIRST_HOST_NUMBER + 1:
        host_range = IPRange(network[FIRST_HOST_NUMBER], network[-2])
    else:
        host_range = None
    return Plane(name, network, vlan, mtu, gateway, vip, host_range)


def read_planes(value: Any, problems: list[Problem]) -> dict[str, Plane]:
    """The valid planes of `cairn_planes`; their CIDRs must not overlap."""
    reader = Reader(problems, "cairn_planes")
    planes = {}
    for name, entry in reader.mapping("cairn_planes", value).items():
        plane = read_plane(name, entry, problems)
        if plane:
            planes[name] = plane
    for one, other in combinations(planes.values(), 2):
        if overlap(one.network, other.network):
            reader.wrong(
                f"plane {other.name} has CIDR {other.network}, "
                f"which overlaps {one.network} of plane {one.name}"
            )
    return planes


def check_planes(
    value: Any, planes: Mapping[str, Plane], public_plane: str, problems: list[Problem]
) -> None:
    """Check that `cairn_planes`, from which `planes` were read, has what a site needs."""
    reader = Reader(problems, "cairn_planes")
    given = {str(name): entry for name, entry in value.items()} if _is_mapping(value) else {}
    for name in REQUIRED_PLANES:
        if name not in given:
            near = did_you_mean(name, [n for n in given if n not in REQUIRED_PLANES])
            reader.wrong(f"plane {name} is missing" + (near if "did you mean" in near else ""))
    if public_plane not in given:
        problems.append(
            Problem(
                "cairn_public_plane",
                f"the public plane {public_plane} is not among the planes"
                + did_you_mean(public_plane, given),
            )
        )
    for name in dict.fromkeys(("management", public_plane)):
        if name in planes and not planes[name].vip and not _mapping_get(given[name], "vip"):
            reader.wrong(f"plane {name} has no vip; the APIs are reached at its address")


def overlap(one: IPNetwork, other: IPNetwork) -> bool:
    """Whether two networks share addresses."""
    return one in other or other in one


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _mapping_get(value: Any, key: str) -> Any:
    return value.get(key) if _is_mapping(value) else None


def read_nics(host: str, value: Any, problems: list[Problem]) -> dict[str, Nic]:
    """`cairn_nics` of one host."""
    reader = Reader(problems, "cairn_nics", host)
    nics: dict[str, Nic] = {}
    by_mac: dict[EUI, str] = {}
    for name, entry in reader.mapping("cairn_nics", value).items():
        what = f"NIC {name}"
        _check_interface_name(reader, what, name)
        read = reader.keys(what, entry, NIC_KEYS)
        mac = None
        if "mac" not in read:
            reader.wrong(f"{what} has no mac; Cairn knows a NIC by its MAC address")
        elif (mac := reader.mac(f"NIC {name} has MAC", read["mac"])) is not None:
            owner = by_mac.setdefault(mac, name)
            if owner != name:
                reader.wrong(f"{what} has MAC {mac}, which is NIC {owner}'s too")
        mtu = reader.mtu(what, read["mtu"]) if read.get("mtu") is not None else None
        driver = reader.text(f"{what} has driver", read.get("driver"))
        nics[name] = Nic(name, mac, mtu, driver)
    return nics


def _check_interface_name(reader: Reader, what: str, name: str) -> None:
    if not INTERFACE_NAME.fullmatch(name) or len(name) > INTERFACE_NAME_MAX:
        reader.wrong(
            f"{what} cannot have this name; an interface name is 1 to {INTERFACE_NAME_MAX} "
            "letters, digits, _ or -, beginning with a letter"
        )


def read_bonds(
    host: str, value: Any, nics: Mapping[str, Nic], problems: list[Problem]
) -> dict[str, Bond]:
    """`cairn_bonds` of one host."""
    reader = Reader(problems, "cairn_bonds", host)
    bonds: dict[str, Bond] = {}
    bond_of: dict[str, str] = {}
    for name, entry in reader.mapping("cairn_bonds", value).items():
        what = f"bond {name}"
        _check_interface_name(reader, what, name)
        if name in nics:
            reader.wrong(f"{what} has the name of a NIC")
        read = reader.keys(what, entry, BOND_KEYS)
        members = read.get("members")
        if not isinstance(members, list | tuple) or not members:
            reader.wrong(f"{what} has members {members!r}; it must be a list of NICs")
            members = []
        mode = str(read.get("mode", ""))
        if mode not in BOND_MODES:
            reader.wrong(f"{what} has mode {mode or 'none'}{did_you_mean(mode, BOND_MODES)}")
        mtu = read.get("mtu")
        mtu = DEFAULT_MTU if mtu is None else reader.mtu(what, mtu) or DEFAULT_MTU
        for member in map(str, members):
            if member not in nics:
                reader.wrong(f"{what} has an unknown NIC {member}{did_you_mean(member, nics)}")
                continue
            if member in bond_of:
                reader.wrong(f"{what} has NIC {member}, which is in bond {bond_of[member]} already")
            bond_of.setdefault(member, name)
            own_mtu = nics[member].mtu
            if own_mtu is not None and own_mtu < mtu:
                reader.wrong(f"{what} has MTU {mtu}, above the {own_mtu} of its NIC {member}")
        options = reader.keys(f"{what}'s options", read.get("options", {}), BOND_OPTIONS)
        bonds[name] = Bond(name, tuple(map(str, members)), mode, mtu, options)
    return bonds


def _default(value: Any, default: Any) -> Any:
    """The default for null; 0, "" and false are values."""
    return default if value is None else value


def read_public_plane(value: Any, problems: list[Problem]) -> str:
    """`cairn_public_plane`: the plane whose VIP is the public address."""
    reader = Reader(problems, "cairn_public_plane")
    return reader.text("cairn_public_plane is", value) or "service"


def read_first_number(value: Any, problems: list[Problem]) -> int:
    """`cairn_first_host_number`: the host number with the first address of every range."""
    reader = Reader(problems, "cairn_first_host_number")
    if value is None:
        return FIRST_HOST_NUMBER
    what, bounds = "cairn_first_host_number is", (0, 2**24)
    number = reader.integer(what, value, bounds, "it must be a whole number from")
    return FIRST_HOST_NUMBER if number is None else number


def read_number(host: str, value: Any, minimum: int, problems: list[Problem]) -> int | None:
    """`cairn_host_number`, which determines a host's addresses."""
    reader = Reader(problems, "cairn_host_number", host)
    if value is None:
        reader.wrong("has no cairn_host_number; its addresses are counted by it")
        return None
    return reader.integer("has cairn_host_number", value, (minimum, 2**24), "a host number is")


def read_attachments(
    host: Host, value: Any, planes: Mapping[str, Plane], first_number: int, problems: list[Problem]
) -> tuple[Attachment, ...]:
    """`cairn_host_planes` of a host with known NICs, bonds and number."""
    reader = Reader(problems, "cairn_host_planes", host.name)
    bond_of = {m: b.name for b in host.bonds.values() for m in b.members}
    interfaces = {**host.nics, **host.bonds}
    found = []
    for name, entry in reader.mapping("cairn_host_planes", value).items():
        what = f"plane {name}"
        plane = planes.get(name)
        read = reader.keys(what, entry, ATTACHMENT_KEYS)
        interface = str(read.get("interface", ""))
        if "interface" not in read:
            reader.wrong(f"{what} has no interface")
        elif interface not in interfaces:
            reader.wrong(
                f"{what} is on an unknown NIC or bond {interface}"
                + did_you_mean(interface, interfaces)
            )
        elif interface in bond_of:
            reader.wrong(
                f"{what} is on NIC {interface}, a member of bond {bond_of[interface]}; "
                f"name the bond"
            )
        if plane is None:
            reader.wrong(f"{what} is not in cairn_planes{did_you_mean(name, planes)}")
            continue
        vlan = reader.vlan(what, read["vlan"]) if "vlan" in read else plane.vlan
        if read.get("address") is not None:
            address = reader.address(f"{what} has address", read["address"], plane.network)
            if address and address in (plane.gateway, plane.vip):
                title = "gateway" if address == plane.gateway else "VIP"
                reader.wrong(f"{what} has address {address}, the plane's {title}")
        else:
            address = counted_address(host, plane, first_number, problems)
        if address is None or interface not in interfaces:
            continue
        attachment = Attachment(plane, interface, vlan, address)
        parent_mtu = host.mtu(interface)
        if plane.mtu > parent_mtu:
            reader.wrong(
                f"{what} has MTU {plane.mtu}, above the {parent_mtu} of {interface}; "
                f"raise the mtu of {interface} or lower the plane's"
            )
        if len(attachment.device) > INTERFACE_NAME_MAX:
            reader.wrong(
                f"{what} would be on device {attachment.device}, a name longer than "
                f"{INTERFACE_NAME_MAX} characters; shorten {interface}"
            )
        found.append(attachment)
    _check_segments(host, found, reader)
    return tuple(found)


def counted_address(
    host: Host, plane: Plane, first_number: int, problems: list[Problem]
) -> IPAddress | None:
    """The address at position `number - first_number` of the plane's range."""
    if host.number is None:
        return None
    reader = Reader(problems, "cairn_host_number", host.name)
    none = f"plane {plane.name} has no address for host number {host.number}"
    if plane.range is None:
        reader.wrong(
            f"{none}: its network {plane.network} is too small to count in; give it a range"
        )
        return None
    index = host.number - first_number
    if index >= plane.range.size:
        beyond = IPAddress(min(plane.range.first + index, 2**32 - 1), version=4)
        reader.wrong(f"{none}: {beyond} is beyond its range {plane.range}")
        return None
    address = plane.range[index]
    if address in (plane.gateway, plane.vip):
        title = "gateway" if address == plane.gateway else "VIP"
        reader.wrong(
            f"plane {plane.name} gives host number {host.number} the address {address}, "
            f"its {title}; give the plane a range"
        )
        return None
    return address


def _check_segments(host: Host, attachments: Iterable[Attachment], reader: Reader) -> None:
    """Two planes of an interface need different VLANs."""
    seen: dict[tuple[str, int | None], str] = {}
    for attachment in attachments:
        segment = (attachment.interface, attachment.vlan)
        name = attachment.plane.name
        if segment in seen:
            vlan = f"VLAN {attachment.vlan}" if attachment.vlan else "no VLAN"
            reader.wrong(
                f"plane {name} has {vlan} on {attachment.interface}, as plane {seen[segment]} has"
            )
        seen.setdefault(segment, name)


def read_host(
    name: str,
    groups: Sequence[str],
    variables: Mapping[str, Any],
    planes: Mapping[str, Plane],
    first_number: int,
    problems: list[Problem],
) -> Host:
    """A host with its network, from its `cairn_*` variables."""
    number = read_number(name, variables.get("cairn_host_number"), first_number, problems)
    nics = read_nics(name, variables.get("cairn_nics", {}), problems)
    bonds = read_bonds(name, _default(variables.get("cairn_bonds"), {}), nics, problems)
    bare = Host(name, tuple(groups), number, nics, bonds)
    given = variables.get("cairn_host_planes", {})
    attachments = read_attachments(bare, given, planes, first_number, problems)
    return Host(name, tuple(groups), number, nics, bonds, attachments)


def check_host(host: Host, given: Any, problems: list[Problem]) -> None:
    """Check that a host has the planes of its groups; `given` is its `cairn_host_planes`."""
    reader = Reader(problems, "cairn_host_planes", host.name)
    for plane in REQUIRED_PLANES:
        needing = [g for g in host.groups if plane in GROUP_PLANES.get(g, ())]
        if needing and isinstance(given, Mapping) and plane not in given:
            reader.wrong(f"plane {plane} is missing, which every {needing[0]} host needs")
    if host.attachments and not any(a.plane.gateway for a in host.attachments):
        reader.wrong(
            "has no default route: none of its planes has a gateway "
            f"({', '.join(a.plane.name for a in host.attachments)})"
        )


def check_hosts(hosts: Mapping[str, Host], problems: list[Problem]) -> None:
    """Check that numbers, MAC addresses and addresses are unique."""
    numbers: dict[int, str] = {}
    macs: dict[EUI, str] = {}
    addresses: dict[IPAddress, str] = {}
    for host in hosts.values():
        if host.number is not None:
            owner = numbers.setdefault(host.number, host.name)
            if owner != host.name:
                problems.append(
                    Problem(
                        "cairn_host_number",
                        f"has cairn_host_number {host.number}, which is {owner}'s too",
                        host.name,
                    )
                )
        for nic in host.nics.values():
            if nic.mac is None:
                continue
            owner = macs.setdefault(nic.mac, host.name)
            if owner != host.name:
                problems.append(
                    Problem(
                        "cairn_nics",
                        f"NIC {nic.name} has MAC {nic.mac}, which is {owner}'s too",
                        host.name,
                    )
                )
        for attachment in host.attachments:
            owner = addresses.setdefault(attachment.address, host.name)
            if owner != host.name:
                problems.append(
                    Problem(
                        "cairn_host_planes",
                        f"plane {attachment.plane.name} has address {attachment.address}, "
                        f"which is {owner}'s too",
                        host.name,
                    )
                )


def read_vlans(value: Any, reader: Reader, what: str) -> set[int]:
    """VLAN ids of `100-199` or `100,110-119`."""
    vlans: set[int] = set()
    for part in str(value).split(","):
        first_text, dash, last_text = part.strip().partition("-")
        first = reader.vlan(what, first_text or None)
        last = reader.vlan(what, last_text) if dash else first
        if first is None or last is None:
            if not first_text:
                reader.wrong(f"{what} has VLANs {value!r}; write them as 100-199 or 100,110-119")
            continue
        if first > last:
            reader.wrong(f"{what} has VLANs {part.strip()}, which end before they start")
        vlans.update(range(first, last + 1))
    return vlans


def read_provider_networks(
    value: Any, planes: Mapping[str, Plane], hosts: Mapping[str, Host], problems: list[Problem]
) -> tuple[FlatNetwork, ...]:
    """`cairn_provider_networks`, checked against the planes on the same NIC."""
    reader = Reader(problems, "cairn_provider_networks")
    vlans: dict[int, str] = {}
    flats: list[str] = []
    found: list[FlatNetwork] = []
    for name, entry in reader.mapping("cairn_provider_networks", value).items():
        what = f"provider network {name}"
        read = reader.mapping(what, entry)
        kind = str(read.get("type", ""))
        if kind not in PROVIDER_KEYS:
            reader.wrong(f"{what} has type {kind or 'none'}; it is flat or vlan")
            continue
        reader.keys(what, read, PROVIDER_KEYS[kind])
        if kind == "vlan":
            for vlan in read_vlans(read.get("vlans", ""), reader, what):
                owner = vlans.setdefault(vlan, name)
                if owner != name:
                    reader.wrong(f"{what} has VLAN {vlan}, as provider network {owner} has")
            continue
        flats.append(name)
        flat = _read_flat_network(reader, name, read, planes)
        found += [flat] if flat else []
    if len(flats) > 1:
        reader.wrong(f"provider networks {', '.join(flats)} are all flat; a NIC carries only one")
    for host in hosts.values():
        _check_provider_interface(host, flats, vlans, problems)
    return tuple(found)


def _read_flat_network(
    reader: Reader, name: str, read: Mapping[str, Any], planes: Mapping[str, Plane]
) -> FlatNetwork | None:
    what = f"provider network {name}"
    network = reader.network(what, read.get("cidr", "none"))
    if network is None:
        return None
    for plane in planes.values():
        if overlap(network, plane.network):
            reader.wrong(
                f"{what} has CIDR {network}, which overlaps {plane.network} of plane {plane.name}"
            )
    gateway = None
    if read.get("gateway") is not None:
        gateway = reader.address(f"{what} has gateway", read["gateway"], network)
    if read.get("allocation") is not None:
        allocation = reader.range(f"{what} has allocation", read["allocation"], network)
        if allocation and gateway and gateway in allocation:
            reader.wrong(f"{what} has gateway {gateway} inside its allocation")
    if read.get("mtu") is not None:
        mtu, service = reader.mtu(what, read["mtu"]), planes.get("service")
        if mtu and service and mtu > service.mtu:
            reader.wrong(
                f"{what} has MTU {mtu}, above the {service.mtu} of plane service, whose NIC it uses"
            )
    return FlatNetwork(name, network, gateway)


def _check_provider_interface(
    host: Host, flats: Sequence[str], vlans: Mapping[int, str], problems: list[Problem]
) -> None:
    """No plane uses untagged frames or VLANs of the provider bridge on the same NIC."""
    interface = host.provider_interface()
    if interface is None or not (flats or vlans):
        return
    reader = Reader(problems, "cairn_host_planes", host.name)
    for attachment in host.attachments:
        if attachment.interface != interface:
            continue
        name = attachment.plane.name
        if attachment.vlan is None:
            reader.wrong(
                f"plane {name} is untagged on {interface}, whose untagged frames go to the "
                "provider networks; give the plane a VLAN or another NIC"
            )
        elif attachment.vlan in vlans:
            owner = vlans[attachment.vlan]
            reader.wrong(
                f"plane {name} has VLAN {attachment.vlan} on {interface}, "
                f"as provider network {owner} has"
            )


def read_site(
    variables: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> tuple[Site, list[Problem]]:
    """All planes and managed hosts of an inventory.

    variables: host name to its templated variables, for every host of `groups`.
    groups: group name to its hosts; groups that are not in GROUPS are ignored.

    Returns the valid part of the site, and all problems.
    """
    membership: dict[str, list[str]] = {}
    for group in GROUPS:
        for name in groups.get(group, ()):
            membership.setdefault(name, []).append(group)
    site, problems = read_hosts(variables, membership)
    given = variables[next(iter(membership))].get("cairn_planes") if membership else None
    check_planes(given, site.planes, site.public_plane, problems)
    for name, host in site.hosts.items():
        check_host(host, variables[name].get("cairn_host_planes", {}), problems)
    return site, problems


def read_hosts(
    variables: Mapping[str, Mapping[str, Any]], membership: Mapping[str, Sequence[str]]
) -> tuple[Site, list[Problem]]:
    """The planes, and the hosts of `membership`, which maps host names to groups.

    Values are checked; whether the site is complete is not, as a lab may have only a part.
    """
    problems: list[Problem] = []
    shared = _site_variables(variables, list(membership), problems)
    public_plane = read_public_plane(shared.get("cairn_public_plane"), problems)
    planes = read_planes(_default(shared.get("cairn_planes"), {}), problems)
    first_number = read_first_number(shared.get("cairn_first_host_number"), problems)
    hosts = {
        name: read_host(name, groups, variables[name], planes, first_number, problems)
        for name, groups in membership.items()
    }
    check_hosts(hosts, problems)
    networks = _default(shared.get("cairn_provider_networks"), {})
    flats = read_provider_networks(networks, planes, hosts, problems)
    return Site(planes, hosts, public_plane, flats), problems


SITE_VARIABLES = (
    "cairn_planes",
    "cairn_public_plane",
    "cairn_first_host_number",
    "cairn_provider_networks",
)


def _site_variables(
    variables: Mapping[str, Mapping[str, Any]], hosts: Sequence[str], problems: list[Problem]
) -> dict[str, Any]:
    """Variables that must be equal on all hosts."""
    shared: dict[str, Any] = {}
    for variable in SITE_VARIABLES:
        for host in hosts:
            value = variables[host].get(variable)
            if host == hosts[0]:
                shared[variable] = value
            elif value != variables[hosts[0]].get(variable):
                problems.append(
                    Problem(
                        variable,
                        f"has another {variable} than {hosts[0]}; it must be equal on all hosts; "
                        "settings of one host belong in cairn_host_planes",
                        host,
                    )
                )
    return shared
