"""docs/reference/ports.md: listening ports and their clients."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from ..site import flows
from ..site.flows import PUBLIC, Flow
from . import contents
from .markdown import code, made, page, section, table

NAMES = {
    "all": "every host",
    "clients": "users of the cloud",
    "instances": "instances",
    "operator": "control node",
    "outside": "outside the site",
}
PLANES = {PUBLIC: "public VIP", "external": "provider networks"}
PUBLIC_PLANE = "plane of the public VIP"  # for what has no port: hosts' own addresses
HEAD = """\
One row for each connection, for those who write the rules of firewalls and switches. **on** is the
server, **from** its clients, whose own port may be any; answers go back the same way (stateful
rules).

- `management`, `storage` and `service` are planes: clients use their own addresses on that plane,
  and the port is open at the server's address there. APIs on `management` are also at the internal
  VIP, an address of that plane.
- *Public VIP* is one address of the plane that `cairn_public_plane` names (`service` by default,
  `public` in `inventories/example`). If a router forwards another address to it, open the same
  ports there.
- *Instances* come from floating IPs and from the external addresses of routers, which are those of
  the provider networks. Other traffic of instances is their owners' (security groups).
- ICMP is echo request and reply (types 8 and 0), in unfragmented packets as large as the MTU of the
  plane. Let "fragmentation needed" (type 3, code 4) pass everywhere.
- VRRP is IP protocol 112, sent by unicast; a single controller sends it by multicast, and nobody
  needs to receive it. The virtual router id is the last number of the VIP (255 for 0), which no
  other VRRP router of that network may have. The holder of a VIP announces it by gratuitous ARP.

A test in the lab compares every listening socket of every host with this list: it must be bound to
the address of its plane, to a VIP or to the loopback.
"""
OUTSIDE = """\
Web ports are those of the sources themselves: with mirrors or proxies, open theirs instead. Users
can make controllers fetch any URL if `glance_import_methods` includes `web-download`.
"""


@functools.cache
def listeners() -> dict[tuple[int, str], str]:
    """Port and plane to the role whose unit listens there, from the services' descriptions."""
    read, found = contents.inventory(), dict[tuple[int, str], str]()
    for host in contents.representatives():
        model = read.model(host)
        for role in model.roles():
            for unit in (model.part(role, "units") or {}).values():
                if unit.get("port"):
                    found[unit["port"], unit.get("plane", "management")] = role
    for front in read.model(contents.representatives()[0]).frontends():
        found[front["port"], PUBLIC] = front["role"]
        if front.get("redirect_from"):
            found[front["redirect_from"], PUBLIC] = front["role"]
    return found


def role_of(flow: Flow) -> str:
    """The role of the service at the end of a flow; empty if it is not Cairn's."""
    return flow.role or listeners().get((flow.ports.start if flow.ports else 0, flow.plane), "")


def of_role(role: str) -> list[Flow]:
    """The flows to a role's service."""
    return [flow for flow in all_flows() if role_of(flow) == role]


@functools.cache
def all_flows() -> tuple[Flow, ...]:
    """All flows of the project."""
    return tuple(flows.read())


def ends(names: Iterable[str]) -> str:
    """Groups as code, other ends by their names."""
    return ", ".join(NAMES.get(name, code(name)) for name in names)


def plane_of(flow: Flow) -> str:
    """The plane of a flow, or the address on it that is asked."""
    if flow.plane == PUBLIC and flow.ports is None:
        return PUBLIC_PLANE
    return PLANES.get(flow.plane, code(flow.plane))


def rows(chosen: Iterable[Flow], link: str = "roles/") -> list[list[str]]:
    """Rows of a table, by port."""
    ordered = sorted(chosen, key=lambda f: (f.ports.start if f.ports else 0, f.protocol))
    return [
        [
            flow.port or "none",
            flow.protocol,
            flow.name,
            ends(flow.targets),
            plane_of(flow),
            ends(flow.sources),
            f"[{role}]({link}{role}.md)" if (role := role_of(flow)) else "",
        ]
        for flow in ordered
    ]


COLUMNS = ("port", "protocol", "what", "on", "plane", "from", "role")


def ports_page() -> str:
    """The whole page."""
    known = all_flows()
    inside = [flow for flow in known if "outside" not in flow.targets]
    outside = [flow for flow in known if "outside" in flow.targets]
    wide = [f"- {flow.name}: {flow.wildcard}." for flow in known if flow.wildcard]
    return page(
        "Ports",
        made("roles/service/files/flows.yml"),
        HEAD,
        table(COLUMNS, rows(inside)),
        section(
            "To the outside",
            OUTSIDE,
            table(COLUMNS[:-1], (row[:-1] for row in rows(outside))),
        ),
        section(
            "On every address", "Only these listen on all of a host's addresses:", "\n".join(wide)
        ),
    )
