"""Drawings of a site: its architecture, and the network of its hosts; each also as text.

python -m cairn.reference.drawing inventories/site      # or `make draw`
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import CairnError
from ..service import registry
from ..site.planes import GROUPS, Host, Plane, Site
from . import markdown
from .inventory import Inventory
from .markdown import page, section
from .svg import Box, Drawing, width

MARGIN, GAP = 20, 16
PROVIDER = "provider bridge"


def ranges(names: Iterable[str]) -> str:
    """Host names; consecutively numbered names are joined as first-last."""
    groups: list[tuple[str, list[int]]] = []
    for name in names:
        match = re.fullmatch(r"(.*?)(\d+)", name)
        stem, number = (match[1], int(match[2])) if match else (name, -1)
        if groups and number >= 0 and groups[-1][0] == stem and groups[-1][1][-1] == number - 1:
            groups[-1][1].append(number)
        else:
            groups.append((stem, [number]))
    return ", ".join(
        stem if numbers == [-1] else f"{stem}{numbers[0]}" + f"-{numbers[-1]}" * (len(numbers) > 1)
        for stem, numbers in groups
    )


def shorten(text: str, length: int) -> str:
    """A text, cut to a maximum length."""
    return text if len(text) <= length else text[: length - 1] + "…"


def facts(plane: Plane) -> str:
    """The settings of a plane, in short."""
    parts = [str(plane.network), f"VLAN {plane.vlan}" if plane.vlan else "untagged"]
    parts.append(f"MTU {plane.mtu}")
    return ", ".join(parts)


def services(inventory: Inventory, group: str) -> list[tuple[str, str]]:
    """The roles and summaries of the services of a group, without those of every host."""
    described = registry.of_site(inventory.described, inventory.fact)
    return [
        (role, str(service.get("summary", "")))
        for role, service in described.items()
        if isinstance(service["groups"], list) and group in service["groups"]
    ]


def members(site: Site, group: str) -> list[Host]:
    """The hosts of a group."""
    return [host for host in site.hosts.values() if group in host.groups]


def vip(inventory: Inventory, plane: Plane) -> str:
    """The use of a plane's VIP."""
    if not plane.vip:
        return ""
    sides = [s for s, address in inventory.fact["vips"].items() if address == str(plane.vip)]
    return f"VIP {plane.vip} ({' and '.join(sides) or 'unused'})"


def architecture(inventory: Inventory) -> Drawing:
    """Groups of hosts with their services, above the planes that join them."""
    site = inventory.site
    made = Drawing(
        f"Architecture of {inventory.folder.name}",
        "Groups of hosts with their services. Below them the planes, each with its network; a dot "
        "marks a plane that hosts of the group are on. The control node reaches the management "
        "plane, users reach the public address.",
    )
    labels = {
        name: [name, facts(plane), *filter(None, [vip(inventory, plane)])]
        for name, plane in site.planes.items()
    }
    rows = max(len(lines) for lines in labels.values())
    left = max(width(lines) for lines in labels.values())
    control = ["control node", "runs Ansible", "over SSH"]
    node = made.box(MARGIN, MARGIN, control, w=left)
    everywhere = [role for role, _ in services(inventory, "all")]
    made.box(MARGIN + 3 * GAP, node.bottom + GAP, ["every host", *everywhere])
    x = MARGIN + left + 2 * GAP
    columns: list[tuple[str, Box]] = []
    for group in GROUPS:
        hosts = members(site, group)
        if not hosts:
            continue
        deployed = services(inventory, group)
        stem = max((len(role) for role, _ in deployed), default=0) + 2
        lines = [group, shorten(ranges(h.name for h in hosts), 34), ""]
        lines += [f"{role:{stem}}{what}" for role, what in deployed]
        box = made.box(x, MARGIN, lines)
        columns.append((group, box))
        x = box.right + GAP
    users = made.box(x + GAP, MARGIN, ["users", "APIs, dashboard"])
    floor = max(box.bottom for box in made.boxes)
    for _, box in columns:
        box.h = floor - box.y
    y = floor + 2 * GAP
    for number, name in enumerate(site.planes):
        lines = labels[name] + [""] * (rows - len(labels[name]))
        label = made.box(MARGIN, y, lines, w=left, colour=number)
        on = [(g, b) for g, b in columns if any(name in h.addresses for h in members(site, g))]
        end = max((b.x + GAP * (number + 1) for _, b in on), default=label.right)
        if name == "management":
            made.line((node.x + GAP, node.bottom), (node.x + GAP, label.y), dot=True)
        if name == site.public_plane:
            end = users.x + GAP
            made.line((end, users.bottom), (end, label.middle), dot=True)
        for _, box in on:
            at = box.x + GAP * (number + 1)
            made.line((at, box.bottom), (at, label.middle), dot=True)
        made.line((label.right, label.middle), (end, label.middle))
        y = label.bottom + GAP
    return made


def architecture_text(inventory: Inventory) -> str:
    """The drawing as text."""
    site = inventory.site
    lines = ["control node ──SSH──> management", f"users ──APIs──> {site.public_plane}", ""]
    for group in GROUPS:
        hosts = members(site, group)
        if hosts:
            lines.append(f"{group}: {ranges(h.name for h in hosts)}")
            planes = [n for n in site.planes if any(n in h.addresses for h in hosts)]
            lines.append(f"├── planes    {', '.join(planes)}")
            lines.append(f"└── services  {', '.join(r for r, _ in services(inventory, group))}")
            lines.append("")
    wide = max(len(name) for name in site.planes) + 2
    for name, plane in site.planes.items():
        more = vip(inventory, plane)
        lines.append(f"{name:{wide}}{facts(plane)}{', ' + more if more else ''}")
    return "\n".join(lines) + "\n"


# --- hosts ------------------------------------------------------------------------------------


def shape(host: Host) -> tuple[object, ...]:
    """The network that hosts of one drawing have in common."""
    return (
        host.groups,
        tuple((n.name, host.mtu(n.name)) for n in host.nics.values()),
        tuple((b.name, b.members, b.mode, b.mtu) for b in host.bonds.values()),
        tuple((a.plane.name, a.interface, a.vlan) for a in host.attachments),
    )


def shapes(site: Site) -> list[list[Host]]:
    """The hosts of a site, grouped by equal networks."""
    found: dict[tuple[object, ...], list[Host]] = {}
    for host in site.hosts.values():
        found.setdefault(shape(host), []).append(host)
    return list(found.values())


def interfaces(host: Host) -> list[tuple[str, list[str]]]:
    """Bonds with their NICs, and NICs without a bond."""
    used = {member for bond in host.bonds.values() for member in bond.members}
    found = [(bond.name, list(bond.members)) for bond in host.bonds.values()]
    return found + [(name, []) for name in host.nics if name not in used]


def provider(inventory: Inventory, host: Host, interface: str) -> list[str]:
    """The provider networks of the bridge on an interface."""
    networks = inventory.fact["provider_networks"]
    if host.provider_interface() != interface or not networks:
        return []
    return [
        PROVIDER,
        *(
            f"{name}: {'untagged' if net['type'] == 'flat' else 'VLANs ' + str(net.get('vlans'))}"
            for name, net in networks.items()
        ),
    ]


def attached(inventory: Inventory, host: Host, interface: str) -> list[tuple[int, list[str]]]:
    """The planes of an interface: colour, and lines of text."""
    order = list(inventory.site.planes)
    found = []
    for a in host.attachments:
        if a.interface == interface:
            prefix = a.plane.network.prefixlen
            tag = f"VLAN {a.vlan}" if a.vlan else "untagged"
            lines = [a.plane.name, f"{a.device}, {tag}", f"{a.address}/{prefix}, MTU {a.plane.mtu}"]
            if a.plane.name == "management" and a.plane.gateway:
                lines.append(f"default route {a.plane.gateway}")
            found.append((order.index(a.plane.name), lines))
    if bridge := provider(inventory, host, interface):
        found.append((len(order), bridge))
    return found


def host_drawing(inventory: Inventory, hosts: Sequence[Host]) -> Drawing:
    """The NICs, bonds and planes of the first of several equal hosts."""
    host = hosts[0]
    made = Drawing(
        f"Network of {ranges(h.name for h in hosts)}",
        f"Network cards of {host.name} on the left, bonds in the middle, the planes that they "
        "carry on the right, with device, VLAN, address and MTU.",
    )
    head = [f"{host.name} ({', '.join(host.groups)})"]
    if len(hosts) > 1:
        head.append("alike: " + shorten(ranges(h.name for h in hosts[1:]), 60))
    top = made.box(MARGIN, MARGIN, head).bottom + 2 * GAP
    cards = {name: [name, str(nic.mac), f"MTU {host.mtu(name)}"] for name, nic in host.nics.items()}
    first = max(width(lines) for lines in cards.values())
    bonds = {b.name: [b.name, b.mode, f"MTU {b.mtu}"] for b in host.bonds.values()}
    second = max((width(lines) for lines in bonds.values()), default=0.0)
    middle = MARGIN + first + 4 * GAP
    last = middle + second + 4 * GAP if bonds else middle
    for name, inner in interfaces(host):
        carried = attached(inventory, host, name)
        left, right = [], []
        y = top
        for card in inner or [name]:
            left.append(made.box(MARGIN, y, cards[card], w=first))
            y = left[-1].bottom + GAP
        end = top
        for colour, lines in carried or [(-1, ["unused"])]:
            right.append(made.box(last, end, lines, colour=None if colour < 0 else colour))
            end = right[-1].bottom + GAP
        wide = max(box.w for box in right)
        for box in right:
            box.w = wide
        source = left[0]
        if inner:
            at = (top + max(y, end) - GAP) / 2
            source = made.box(middle, at - 28, bonds[name], w=second)
            join = middle - 2 * GAP
            for box in left:
                made.line((box.right, box.middle), (join, box.middle))
            made.line((join, left[0].middle), (join, left[-1].middle))
            made.line((join, source.middle), (source.x, source.middle))
            low, high = sorted((source.middle, left[0].middle))
            if not left[0].middle <= source.middle <= left[-1].middle:
                made.line((join, low), (join, high))
        split = last - 2 * GAP
        made.line((source.right, source.middle), (split, source.middle))
        heights = [box.middle for box in right] + [source.middle]
        made.line((split, min(heights)), (split, max(heights)))
        for box in right:
            made.line((split, box.middle), (box.x, box.middle), dot=True)
        top = max(y, end, source.bottom + GAP) + GAP
    return made


def host_text(inventory: Inventory, hosts: Sequence[Host]) -> str:
    """The drawing as text."""
    host = hosts[0]
    lines = [f"{host.name} ({', '.join(host.groups)})"]
    if len(hosts) > 1:
        lines[0] += f"; alike: {ranges(h.name for h in hosts[1:])}"
    for name, inner in interfaces(host):
        bond = host.bonds.get(name)
        kind = bond.mode if bond else str(host.nics[name].mac)
        what = f"{kind}, MTU {host.mtu(name)}"
        lines.append(f"{name}  {what}")
        branches = [f"{card}  {host.nics[card].mac}" for card in inner]
        branches += ["  ".join(texts) for _, texts in attached(inventory, host, name)]
        for number, branch in enumerate(branches):
            lines.append(f"{'└' if number == len(branches) - 1 else '├'}── {branch}")
    return "\n".join(lines) + "\n"


def architecture_page(inventory: Inventory) -> str:
    """The page of the architecture, as drawing and as text."""
    return page(
        "Architecture",
        markdown.made("cairn/reference/drawing.py", "inventories/example"),
        f"The site of `inventories/{inventory.folder.name}`. "
        "`make draw INVENTORY=inventories/site` draws yours.",
        "![Architecture: groups of hosts with their services, and the planes that join them]"
        "(../images/architecture.svg)",
        f"The same as text:\n\n```text\n{architecture_text(inventory)}```",
    )


def hosts_page(inventory: Inventory) -> str:
    """The page with the networks of all hosts."""
    parts = []
    for hosts in shapes(inventory.site):
        name = hosts[0].name
        image = f"![NICs, bonds and planes of {name}](../images/{name}.svg)"
        text = f"```text\n{host_text(inventory, hosts)}```"
        parts.append(section(ranges(h.name for h in hosts), image, text))
    return page(
        "Networks of hosts",
        markdown.made("cairn/reference/drawing.py", "inventories/example"),
        f"NICs, bonds, VLANs and planes of the hosts of `inventories/{inventory.folder.name}`, as "
        "a drawing and as text. `make draw INVENTORY=inventories/site` draws yours.",
        *parts,
    )


def drawings(inventory: Inventory) -> dict[str, str]:
    """All drawings of a site by file name."""
    found = {"architecture.svg": architecture(inventory).svg()}
    found["architecture.txt"] = architecture_text(inventory)
    for hosts in shapes(inventory.site):
        found[f"{hosts[0].name}.svg"] = host_drawing(inventory, hosts).svg()
        found[f"{hosts[0].name}.txt"] = host_text(inventory, hosts)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw a site into a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("inventory", type=Path)
    parser.add_argument("--output", type=Path, help="folder; default .cache/drawings/<inventory>")
    given = parser.parse_args(arguments)
    folder = given.output or Path(".cache/drawings") / given.inventory.name
    try:
        made = drawings(Inventory(given.inventory))
    except CairnError as error:
        print(error, file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (folder / name).write_text(text)
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
