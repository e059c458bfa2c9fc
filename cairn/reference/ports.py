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
    "operator": "control node",
    "outside": "outside the site",
}
PLANES = {PUBLIC: "public VIP"}
HEAD = """\
One row for each connection between parts of the cloud, for firewalls and switches. `management`,
`storage` and `service` are planes: the port is open at the host's address on that plane, and for
APIs also at the internal VIP, an address of the plane `management`. *Public VIP* is the address for
users of the cloud.

A test in the lab compares every listening socket of every host with this list: it must be bound to
the address of its plane, to a VIP or to the loopback.
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


def rows(chosen: Iterable[Flow], link: str = "roles/") -> list[list[str]]:
    """Rows of a table, by port."""
    ordered = sorted(chosen, key=lambda f: (f.ports.start if f.ports else 0, f.protocol))
    return [
        [
            flow.port or "none",
            flow.protocol,
            flow.name,
            ends(flow.targets),
            PLANES.get(flow.plane, code(flow.plane)),
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
            "Destinations of hosts outside the site, besides DNS, package sources and the "
            "package index:",
            table(COLUMNS[:-1], (row[:-1] for row in rows(outside))),
        ),
        section(
            "On every address", "Only these listen on all of a host's addresses:", "\n".join(wide)
        ),
    )
