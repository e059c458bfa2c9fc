"""From a host's part of the planes to the systemd-networkd units that make it real.

File names are `20-cairn-<interface>.{link,netdev,network}`; see systemd.link(5),
systemd.netdev(5) and systemd.network(5) for the sections.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from .planes import Attachment, Bond, Host, Nic, Site

PREFIX = "20-cairn-"
# Routes of planes other than the one with the default route stand in tables of their own.
FIRST_TABLE = 1000
RULE_PRIORITY = 1000
# How often a bond looks at its members' links, where its options say nothing.
MONITOR = "100ms"

Section = tuple[str, list[tuple[str, object]]]


def render(sections: Iterable[Section]) -> str:
    """Sections in the systemd syntax, without the ones that are empty."""
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
    """File name to content of every unit of a host, in a fixed order."""
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
    """A hash of a host's units: equal exactly when every file is."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def link(nic: Nic, mtu: int) -> str:
    """Name and MTU of a card, found by the address it was made with.

    VLANs and bonds take over a card's MAC address, so only devices without a kind match.
    """
    match: list[tuple[str, object]] = [("PermanentMACAddress", nic.mac), ("Kind", "!*")]
    if nic.driver:
        match.append(("Driver", nic.driver))
    return render([("Match", match), ("Link", [("Name", nic.name), ("MTUBytes", mtu)])])


def member_network(nic: str, bond: str) -> str:
    """A bond's NIC: no addresses; the host is online without it as long as the bond is."""
    return render(
        [
            ("Match", [("Name", nic)]),
            ("Link", [("RequiredForOnline", False)]),
            ("Network", [("Bond", bond), ("LinkLocalAddressing", False)]),
        ]
    )


def bond_netdev(bond: Bond) -> str:
    """The bond itself; left alone, the kernel would never look whether a member has a link."""
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
    """A plane's VLAN device."""
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
    """A NIC or bond: its VLANs, and its untagged plane if it has one."""
    mine = [a for a in host.attachments if a.interface == interface]
    untagged = next((a for a in mine if a.vlan is None), None)
    vlans = [("VLAN", a.device) for a in mine if a.vlan is not None]
    # Open vSwitch is the master of its ports; networkd would take that away at each reload.
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
    """A plane's VLAN device with the host's address."""
    return render(
        [
            ("Match", [("Name", attachment.device)]),
            ("Link", [("MTUBytes", attachment.plane.mtu)]),
            ("Network", _quiet()),
            *address_sections(attachment, host, site, attachment.plane.mtu),
        ]
    )


def _quiet() -> list[tuple[str, object]]:
    """No address that the inventory does not name; VIPs that keepalived set are left alone."""
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

    A plane whose MTU is below its device's has it on its routes. A gateway of another plane than
    the default route's answers those who came in over that plane (the public VIP, say).
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
                # What the main table knows better than its default route stays as it is.
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
    """Management where it has a gateway, else the host's first plane that has one."""
    with_gateway = [a.plane.name for a in host.attachments if a.plane.gateway]
    if "management" in with_gateway:
        return "management"
    return with_gateway[0] if with_gateway else None


def devices(host: Host) -> dict[str, dict[str, object]]:
    """Device name to the `addresses` (`a/prefix`) and the `mtu` that the units give it."""
    made: dict[str, dict[str, object]] = {
        name: {"addresses": [], "mtu": host.mtu(name)} for name in (*host.nics, *host.bonds)
    }
    for attachment in host.attachments:
        plane = attachment.plane
        mtu = host.mtu(attachment.interface) if attachment.vlan is None else plane.mtu
        made[attachment.device] = {"addresses": [attachment.cidr], "mtu": mtu}
    return made
