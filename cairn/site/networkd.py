"""The systemd-networkd units of a host, from its NICs, bonds and planes. Control node only, pure.

Files are named `20-cairn-<interface>.{link,netdev,network}`; systemd.link(5), systemd.netdev(5)
and systemd.network(5) describe the sections. A plane's VLAN id becomes `[VLAN] Id=` in
`vlan_netdev`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from .planes import Attachment, Bond, Host, Nic, Site

PREFIX = "20-cairn-"
# Each plane with a gateway, except that of the default route, has its own routing table.
FIRST_TABLE = 1000
RULE_PRIORITY = 1000
# The default interval at which a bond checks the links of its members.
MONITOR = "100ms"

Section = tuple[str, list[tuple[str, object]]]


def render(sections: Iterable[Section]) -> str:
    """Sections in systemd's syntax; empty sections are omitted."""
    blocks = []
    for name, pairs in sections:
        lines = [f"{key}={_text(value)}" for key, value in pairs if value is not None]
        if lines:
            blocks.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def units(host: Host, site: Site) -> dict[str, str]:
    """File name to content of every unit of a host, sorted."""
    made: dict[str, str] = {}
    members = {member: bond.name for bond in host.bonds.values() for member in bond.members}
    for nic in host.nics.values():
        made[f"{PREFIX}{nic.name}.link"] = link(nic, host.mtu(nic.name))
        made[f"{PREFIX}{nic.name}.network"] = (
            member_network(nic.name, members[nic.name])
            if nic.name in members
            else interface_network(nic.name, host, site)
        )
    for bond in host.bonds.values():
        made[f"{PREFIX}{bond.name}.netdev"] = bond_netdev(bond)
        made[f"{PREFIX}{bond.name}.network"] = interface_network(bond.name, host, site)
    for attachment in host.attachments:
        if attachment.vlan is not None:
            made[f"{PREFIX}{attachment.device}.netdev"] = vlan_netdev(attachment)
            made[f"{PREFIX}{attachment.device}.network"] = vlan_network(attachment, host, site)
    return dict(sorted(made.items()))


def digest(made: Mapping[str, str]) -> str:
    """A hash of a host's units."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def link(nic: Nic, mtu: int) -> str:
    """Name and MTU of the NIC with this permanent MAC address.

    VLAN devices and bonds inherit the MAC address of a NIC, so only devices without a kind match.
    """
    match: list[tuple[str, object]] = [("PermanentMACAddress", nic.mac), ("Kind", "!*")]
    if nic.driver:
        match.append(("Driver", nic.driver))
    return render([("Match", match), ("Link", [("Name", nic.name), ("MTUBytes", mtu)])])


def member_network(nic: str, bond: str) -> str:
    """A NIC in a bond: without addresses, and not required for the host to be online."""
    return render(
        [
            ("Match", [("Name", nic)]),
            ("Link", [("RequiredForOnline", False)]),
            ("Network", [("Bond", bond), ("LinkLocalAddressing", False)]),
        ]
    )


def bond_netdev(bond: Bond) -> str:
    """The bond. MONITOR is set because the kernel's default is not to check links."""
    options = dict(bond.options)
    if not options.keys() & {"MIIMonitorSec", "ARPIntervalSec"}:
        options["MIIMonitorSec"] = MONITOR
    return render(
        [
            ("NetDev", [("Name", bond.name), ("Kind", "bond"), ("MTUBytes", bond.mtu)]),
            ("Bond", [("Mode", bond.mode), *sorted(options.items())]),
        ]
    )


def vlan_netdev(attachment: Attachment) -> str:
    """The VLAN device of a plane."""
    return render(
        [
            (
                "NetDev",
                [
                    ("Name", attachment.device),
                    ("Kind", "vlan"),
                    ("MTUBytes", attachment.plane.mtu),
                ],
            ),
            ("VLAN", [("Id", attachment.vlan)]),
        ]
    )


def interface_network(interface: str, host: Host, site: Site) -> str:
    """A NIC or bond with its VLANs and its untagged plane."""
    mine = [a for a in host.attachments if a.interface == interface]
    untagged = next((a for a in mine if a.vlan is None), None)
    vlans = [("VLAN", a.device) for a in mine if a.vlan is not None]
    # Without KeepMaster networkd would remove the port from Open vSwitch at each reload.
    keep = [("KeepMaster", True)] if interface == host.provider_interface() else []
    link_section: list[tuple[str, object]] = [("MTUBytes", host.mtu(interface))]
    if not untagged:
        link_section.append(("RequiredForOnline", "carrier" if mine else False))
    network: list[tuple[str, object]] = [*_quiet(), *vlans, *keep]
    sections: list[Section] = [
        ("Match", [("Name", interface)]),
        ("Link", link_section),
        ("Network", network),
    ]
    if untagged:
        sections += address_sections(untagged, host, site, host.mtu(interface))
    return render(sections)


def vlan_network(attachment: Attachment, host: Host, site: Site) -> str:
    """The VLAN device of a plane with the host's address."""
    return render(
        [
            ("Match", [("Name", attachment.device)]),
            ("Link", [("MTUBytes", attachment.plane.mtu)]),
            ("Network", _quiet()),
            *address_sections(attachment, host, site, attachment.plane.mtu),
        ]
    )


def _quiet() -> list[tuple[str, object]]:
    """No address from outside the inventory; VIPs set by keepalived are kept."""
    return [
        ("LinkLocalAddressing", False),
        ("IPv6AcceptRA", False),
        ("DHCP", False),
        ("KeepConfiguration", "static"),
    ]


def address_sections(
    attachment: Attachment, host: Host, site: Site, device_mtu: int
) -> list[Section]:
    """Address, gateway and, on a plane without the default route, policy routing.

    If the MTU of a plane is lower than that of its device, its routes have the plane's MTU. The
    gateway of a plane without the default route is for replies from that plane's addresses, such
    as the public VIP.
    """
    plane = attachment.plane
    mtu = plane.mtu if plane.mtu < device_mtu else None
    sections: list[Section] = [
        (
            "Address",
            [
                ("Address", attachment.cidr),
                ("AddPrefixRoute", False if mtu else None),
            ],
        )
    ]
    if mtu:
        sections.append(
            (
                "Route",
                [
                    ("Destination", plane.network),
                    ("Scope", "link"),
                    ("PreferredSource", attachment.address),
                    ("MTUBytes", mtu),
                ],
            )
        )
    if plane.gateway is None:
        return sections
    if plane.name == default_route_plane(host):
        return [*sections, ("Route", [("Gateway", plane.gateway), ("MTUBytes", mtu)])]
    table = FIRST_TABLE + list(site.planes).index(plane.name)
    return [
        *sections,
        ("Route", [("Gateway", plane.gateway), ("MTUBytes", mtu), ("Table", table)]),
        (
            "RoutingPolicyRule",
            [
                # More specific routes of the main table take precedence.
                ("From", plane.network),
                ("Table", "main"),
                ("SuppressPrefixLength", 0),
                ("Priority", RULE_PRIORITY),
            ],
        ),
        (
            "RoutingPolicyRule",
            [("From", plane.network), ("Table", table), ("Priority", RULE_PRIORITY + 1)],
        ),
    ]


def default_route_plane(host: Host) -> str | None:
    """The plane `management` if it has a gateway, else the host's first plane with a gateway."""
    with_gateway = [a.plane.name for a in host.attachments if a.plane.gateway]
    if "management" in with_gateway:
        return "management"
    return with_gateway[0] if with_gateway else None


def devices(host: Host) -> dict[str, dict[str, object]]:
    """Device name to the `addresses` (`address/prefix`) and `mtu` of its units."""
    made: dict[str, dict[str, object]] = {
        name: {"addresses": [], "mtu": host.mtu(name)} for name in (*host.nics, *host.bonds)
    }
    for attachment in host.attachments:
        plane = attachment.plane
        mtu = host.mtu(attachment.interface) if attachment.vlan is None else plane.mtu
        made[attachment.device] = {"addresses": [attachment.cidr], "mtu": mtu}
    return made
