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

UPLINK_POOL = IPv4Network("198.19.0.0/16")  # the half of the benchmarking range that sites leave
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
    """The tap device of a NIC; a hash, for device names hold 15 characters."""
    return f"tap{key(host.name, nic.name)}"


@dataclass(frozen=True)
class Plan:
    """Commands in the order in which they are run: `ip` batches inside and outside."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    tags: tuple[tuple[str, bytes], ...]  # device and the eBPF program for what leaves it
    inside_rules: str
    outside_rules: str


def plan(lab: str, site: Site, uplink: IPv4Network, *, native_vlans: bool) -> Plan:
    """What makes the network of a lab whose namespace exists and is empty."""
    ours, theirs = uplink[1], uplink[2]
    veth = veth_name(lab)
    inside = ["link set lo up"]
    tags: list[tuple[str, bytes]] = []
    for segment in site.segments:
        # The lab's own packets keep to the planes' MTU; frames between ports to the ports'.
        own = [gateway.mtu for gateway in site.gateways if gateway.segment == segment]
        inside += [
            # Frames with a VLAN tag pass like all others: a trunk to every port.
            f"link add name {segment} type bridge stp_state 0 mcast_snooping 0",
            f"link set {segment} mtu {max(own, default=1500)} up",
        ]
    for host in site.hosts:
        for nic in host.nics:
            device = tap(host, nic)
            inside += [
                f"tuntap add dev {device} mode tap",
                f"link set {device} mtu {site.segments[nic.segment]} master {nic.segment}"
                f' alias "{host.name} {nic.name}" up',
            ]
    for gateway in site.gateways:
        device = gateway.segment
        if gateway.vlan:
            device = f"{gateway.segment}.{gateway.vlan}"
            if native_vlans:
                inside.append(
                    f"link add link {gateway.segment} name {device} type vlan id {gateway.vlan}"
                )
            else:
                port = f"{device}p"
                tags += [(device, vlan.push(gateway.vlan)), (port, vlan.pop(gateway.vlan))]
                inside += [
                    f"link add name {device} type veth peer name {port}",
                    f"link set {port} mtu {site.segments[gateway.segment]} "
                    f"master {gateway.segment} up",
                ]
            inside.append(f"link set {device} mtu {gateway.mtu} up")
        inside.append(f"address add {gateway.address} dev {device}")
    inside += [
        f"address add {theirs}/{uplink.prefixlen} dev uplink",
        "link set uplink up",
        f"route add default via {ours}",
    ]
    outside = [f"address add {ours}/{uplink.prefixlen} dev {veth}", f"link set {veth} up"]
    return Plan(
        tuple(inside),
        tuple(outside),
        tuple(tags),
        _nat("cairn", "oifname uplink"),
        _nat(table(lab), f"ip saddr {theirs}"),
    )


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
    """A /30 that overlaps nothing taken; tried from a place that the lab's name gives."""
    pool = list(UPLINK_POOL.subnets(new_prefix=30))
    start = int(key(lab), 16) % len(pool)
    for candidate in [*pool[start:], *pool[:start]]:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise LabError(f"no free /30 in {UPLINK_POOL} for the lab's way out")


def taken() -> list[IPv4Network]:
    """Networks that the machine has addresses in or routes to, default routes apart."""
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


def whole(lab: str) -> bool:
    """Whether the machine's end is there too, with its rules."""
    tables = call(["nft", "list", "tables", "ip"])
    return Path(f"/sys/class/net/{veth_name(lab)}").exists() and f"ip {table(lab)}\n" in tables


def fingerprint(site: Site) -> str:
    """Changes when the network must be another one."""
    return key(
        repr(site.segments),
        repr(site.gateways),
        repr([(host.name, host.nics) for host in site.hosts]),
    )


def up(lab: str, site: Site) -> None:
    """Make a lab's network from nothing; what an earlier run left half-made is removed first."""
    down(lab)
    wanted = plan(lab, site, free_uplink(lab, taken()), native_vlans=vlan.native())
    name, inside = namespace(lab), enter(lab)
    call(["ip", "netns", "add", name])
    call(["ip", "link", "add", veth_name(lab), "type", "veth", "peer", "name", "uplink",
          "netns", name])  # fmt: skip
    call([*inside, "ip", "-batch", "-"], input="\n".join(wanted.inside) + "\n")
    for device, program in wanted.tags:
        vlan.attach(path(lab), device, program)
    call([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1",
          "net.ipv6.conf.all.disable_ipv6=1"])  # fmt: skip
    call([*inside, "nft", "-f", "-"], input=wanted.inside_rules)
    call(["ip", "-batch", "-"], input="\n".join(wanted.outside) + "\n")
    call(["nft", "-f", "-"], input=wanted.outside_rules)


def allow_forwarding() -> bool:
    """Let the machine forward packets; whether that had to be changed."""
    switch = Path("/proc/sys/net/ipv4/ip_forward")
    if switch.read_text().strip() == "1":
        return False
    switch.write_text("1")
    return True


def down(lab: str) -> None:
    """Remove a lab's network, whole or half-made."""
    call(["nft", "-f", "-"], input=f"table ip {table(lab)}\ndelete table ip {table(lab)}\n")
    if Path(f"/sys/class/net/{veth_name(lab)}").exists():
        call(["ip", "link", "delete", veth_name(lab)])
    if exists(lab):
        call(["ip", "netns", "delete", namespace(lab)])
    path(lab).unlink(missing_ok=True)
