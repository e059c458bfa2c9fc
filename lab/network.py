"""A lab's networks: bridges and taps in a network namespace of its own."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from lab import vlan
from lab.cache import key
from lab.inventory import Host, Nic, Site
from lab.run import LabError, call

UPLINK_POOL = IPv4Network("198.19.0.0/16")  # the half of the benchmarking range that no site uses
NAMESPACES = Path("/run/netns")


def namespace(lab: str) -> str:
    """The name of a lab's network namespace."""
    return f"cairn-{lab}"


def path(lab: str) -> Path:
    """Where `nsenter --net=` finds a lab's network namespace."""
    return NAMESPACES / namespace(lab)


def enter(lab: str) -> list[str]:
    """A command prefix: inside the lab's network."""
    return ["nsenter", f"--net={path(lab)}", "--"]


def tap(host: Host, nic: Nic) -> str:
    """The tap device of a NIC; a hash, since device names have at most 15 characters."""
    return f"tap{key(host.name, nic.name)}"


@dataclass(frozen=True)
class Plan:
    """The wires of a lab: lines for `ip -batch`, and which device gets which eBPF program."""

    lines: tuple[str, ...]
    tags: tuple[tuple[str, bytes], ...]


def plan(site: Site, *, native_vlans: bool) -> Plan:
    """What makes bridges, taps and the lab's own addresses in an empty namespace."""
    lines = ["link set lo up"]
    tags: list[tuple[str, bytes]] = []
    for segment in site.segments:
        # The lab's own packets keep to the planes' MTU; frames between ports to the ports'.
        own = [gateway.mtu for gateway in site.gateways if gateway.segment == segment]
        lines += [
            # Frames with a VLAN tag pass like all others: a trunk to every port.
            f"link add name {segment} type bridge stp_state 0 mcast_snooping 0",
            f"link set {segment} mtu {max(own, default=1500)} up",
        ]
    for host in site.hosts:
        for nic in host.nics:
            device = tap(host, nic)
            lines += [
                f"tuntap add dev {device} mode tap",
                f"link set {device} mtu {site.segments[nic.segment]} master {nic.segment}"
                f' alias "{host.name} {nic.name}" up',
            ]
    for gateway in site.gateways:
        device = gateway.segment
        if gateway.vlan:
            tagged = tagged_device(
                device, gateway.vlan, gateway.mtu, site.segments[device], native=native_vlans
            )
            device = f"{device}.{gateway.vlan}"
            lines += tagged.lines
            tags += tagged.tags
        lines.append(f"address add {gateway.address} dev {device}")
    return Plan(tuple(lines), tuple(tags))


def tagged_device(segment: str, number: int, mtu: int, largest: int, *, native: bool) -> Plan:
    """What makes the lab's own interface `<segment>.<number>` in a VLAN of a segment.

    `largest` is the MTU of the segment's ports.
    """
    device, port = f"{segment}.{number}", f"{segment}.{number}p"
    up = f"link set {device} mtu {mtu} up"
    if native:
        return Plan((f"link add link {segment} name {device} type vlan id {number}", up), ())
    lines = (
        f"link add name {device} type veth peer name {port}",
        f"link set {port} mtu {largest} master {segment} up",
        up,
    )
    return Plan(lines, ((device, vlan.push(number)), (port, vlan.pop(number))))


def make(lab: str, wires: Plan) -> None:
    """Make what is planned in a lab's namespace."""
    call([*enter(lab), "ip", "-batch", "-"], input="\n".join(wires.lines) + "\n")
    for device, program in wires.tags:
        vlan.attach(path(lab), device, program)


def rules(lab: str, uplink: IPv4Network) -> tuple[str, str]:
    """The nftables tables of a lab's way out: in its namespace, and on the machine."""
    return _nat("cairn", "oifname uplink"), _nat(table(lab), f"ip saddr {uplink[2]}")


def _nat(name: str, match: str) -> str:
    return f"""table ip {name} {{
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    {match} masquerade
  }}
}}
"""


def veth_name(lab: str) -> str:
    """The machine's end of a lab's way out."""
    return f"cairn{key(lab)[:8]}"


def table(lab: str) -> str:
    """The machine's nftables table of a lab."""
    return f"cairn_{key(lab)}"


def free_uplink(lab: str, taken: Sequence[IPv4Network]) -> IPv4Network:
    """A free /30; the search starts at a place derived from the lab's name."""
    pool = list(UPLINK_POOL.subnets(new_prefix=30))
    start = int(key(lab), 16) % len(pool)
    for candidate in [*pool[start:], *pool[:start]]:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise LabError(f"no free /30 in {UPLINK_POOL} for the lab's way out")


def taken() -> list[IPv4Network]:
    """Networks that the machine has addresses in or routes to, without default routes."""
    networks = [
        ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
        for link in json.loads(call(["ip", "-j", "-4", "address"]))
        for entry in link.get("addr_info", [])
    ]
    for route in json.loads(call(["ip", "-j", "-4", "route", "show", "table", "all"])):
        if route["dst"] != "default":
            networks.append(ipaddress.ip_network(route["dst"], strict=False))
    return [network for network in networks if isinstance(network, IPv4Network)]


def exists(lab: str) -> bool:
    """Whether the lab's namespace is there (a bare file of that name is not one)."""
    return os.path.ismount(path(lab))


def connected(lab: str) -> bool:
    """Whether the lab's uplink exists, with the machine's rules for it."""
    tables = call(["nft", "list", "tables", "ip"])
    return Path(f"/sys/class/net/{veth_name(lab)}").exists() and f"ip {table(lab)}\n" in tables


def fingerprint(site: Site) -> str:
    """A hash that changes when the network must be created again."""
    return key(
        repr(site.segments),
        repr(site.gateways),
        repr([(host.name, host.nics) for host in site.hosts]),
    )


def up(lab: str, site: Site) -> None:
    """Make a lab's network from nothing; what an earlier run left half-made is removed first."""
    down(lab)
    inside = enter(lab)
    wires = plan(site, native_vlans=vlan.native())
    call(["ip", "netns", "add", namespace(lab)])
    make(lab, wires)
    call([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1",
          "net.ipv6.conf.all.disable_ipv6=1"])  # fmt: skip
    connect(lab)


def connect(lab: str) -> None:
    """Connect a lab's namespace to the machine; an existing connection is replaced."""
    disconnect(lab)
    uplink = free_uplink(lab, taken())
    ours, theirs, inside, device = uplink[1], uplink[2], enter(lab), veth_name(lab)
    own, machines = rules(lab, uplink)
    call(["ip", "link", "add", device, "type", "veth", "peer", "name", "uplink",
          "netns", namespace(lab)])  # fmt: skip
    call([*inside, "ip", "-batch", "-"], input=f"address add {theirs}/30 dev uplink\n"
         f"link set uplink up\nroute add default via {ours}\n")  # fmt: skip
    call([*inside, "nft", "-f", "-"], input=f"table ip cairn\ndelete table ip cairn\n{own}")
    call(["ip", "-batch", "-"], input=f"address add {ours}/30 dev {device}\n"
         f"link set {device} up\n")  # fmt: skip
    call(["nft", "-f", "-"], input=machines)


def disconnect(lab: str) -> None:
    """Remove the machine's end of a lab's way out."""
    call(["nft", "-f", "-"], input=f"table ip {table(lab)}\ndelete table ip {table(lab)}\n")
    if Path(f"/sys/class/net/{veth_name(lab)}").exists():
        call(["ip", "link", "delete", veth_name(lab)])


def allow_forwarding() -> bool:
    """Let the machine forward packets; return whether that was off."""
    switch = Path("/proc/sys/net/ipv4/ip_forward")
    if switch.read_text().strip() == "1":
        return False
    switch.write_text("1")
    return True


def down(lab: str) -> None:
    """Remove a lab's network, whole or half-made."""
    disconnect(lab)
    if exists(lab):
        call(["ip", "netns", "delete", namespace(lab)])
    path(lab).unlink(missing_ok=True)
