"""`cairn_site`: the whole site as plain data, from the variables of its inventory.

Plays, tools and drawings use it. Control node only; makes no remote call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleError

from ..errors import CairnError
from ..service.registry import descriptions, optional
from ..suggest import did_you_mean
from . import variable_types
from .networkd import digest, units
from .planes import GROUPS, Host, Plane, Problem, Site, read_site
from .precedence import file_in_force, rivals, untemplated

NETWORK_VARIABLES = (
    "cairn_planes",
    "cairn_public_plane",
    "cairn_first_host_number",
    "cairn_provider_networks",
    "cairn_host_number",
    "cairn_nics",
    "cairn_bonds",
    "cairn_host_planes",
)
# Its values may be any text: preflight names those that Ansible cannot template.
SECRETS = "cairn_secrets"
HOST_MAPPINGS = ("cairn_nics", "cairn_bonds", "cairn_host_planes")
DEFAULTS = {"cairn_release": "2026.1", "cairn_region": "RegionOne"}


class SiteError(CairnError):
    """An invalid inventory; the text has every problem."""


def plain(value: Any) -> Any:
    """A copy without Ansible's lazy templates, for a fact."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def site_of(task_vars: dict[str, Any]) -> tuple[Site, list[Problem]]:
    """The site of the inventory, with all problems."""
    groups = {g: list(task_vars["groups"].get(g, ())) for g in GROUPS}
    variables: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    unreadable: list[Problem] = []

    def values(known: Any, names: Iterable[str], host: str = "") -> dict[str, Any]:
        """The variables that are set, except those that Ansible cannot template."""
        found = {}
        for name in names:
            try:
                if name in known:
                    found[name] = plain(known[name])
            except AnsibleError as error:
                text = f"{name} cannot be read: {error}"
                if text not in {problem.text for problem in unreadable}:  # most are one for all
                    unreadable.append(Problem(name, text, host))
        return found

    for host in dict.fromkeys(h for hosts in groups.values() for h in hosts):
        known = task_vars["hostvars"][host]  # asking once for each variable would take seconds
        if not variables:
            given = values(known, [v for v in variable_types.OF_SITE if v != SECRETS])
            secrets = untemplated(task_vars["hostvars"], host, SECRETS)
            given |= values(known, [SECRETS]) if isinstance(secrets, str) else {SECRETS: secrets}
            problems += variable_types.check(given, variable_types.OF_SITE)
        variables[host] = values(known, NETWORK_VARIABLES, host)
        given = values(known, variable_types.OF_HOST, host)
        problems += variable_types.check(given, variable_types.OF_HOST, host)
    site, mistakes = read_site(variables, groups)
    # Problems that follow from a missing variable would be misleading.
    return site, unreadable or [*mistakes, *problems]


def sentences(problems: list[Problem], task_vars: dict[str, Any]) -> list[str]:
    """The problems as text, each with its inventory file."""
    hostvars = task_vars["hostvars"]
    anyone = next(h for g in GROUPS for h in task_vars["groups"].get(g, ()))
    shown = []
    for problem in problems:
        # A variable of the whole site is the same for each of its hosts.
        host = problem.host or anyone
        file = file_in_force(hostvars, problem.variable, host, certain=not problem.host)
        shown.append(problem.sentence(file))
    return shown


def disagreements(site: Site, hostvars: Any) -> list[Problem]:
    """Hosts in several groups that set their network variables differently.

    Ansible would silently use the value of the last group in the alphabet.
    """
    found = []
    for host in site.hosts.values():
        if len(host.groups) < 2:
            continue
        for variable in HOST_MAPPINGS:
            groups = rivals(hostvars, host.name, variable)
            if groups:
                files = " and ".join(f"{name} ({file})" if file else name for name, file in groups)
                found.append(
                    Problem(
                        variable,
                        f"{variable} is set differently by its groups {files}, and only "
                        f"{groups[-1][0]}'s value would count; set the right value for this host "
                        f"in host_vars/{host.name}.yml",
                        host.name,
                    )
                )
    return found


def plane_fact(plane: Plane) -> dict[str, Any]:
    """A plane as plain data."""
    return {
        "cidr": str(plane.network),
        "prefix": plane.network.prefixlen,
        "vlan": plane.vlan,
        "mtu": plane.mtu,
        "gateway": str(plane.gateway) if plane.gateway else None,
        "vip": str(plane.vip) if plane.vip else None,
    }


def host_fact(host: Host, site: Site) -> dict[str, Any]:
    """A host as plain data. `network` is the hash of the units it should have."""
    bonds = {member: bond.name for bond in host.bonds.values() for member in bond.members}
    return {
        "groups": list(host.groups),
        "number": host.number,
        "addresses": host.addresses,
        "nics": {
            n.name: {"mac": str(n.mac), "mtu": host.mtu(n.name), "bond": bonds.get(n.name)}
            for n in host.nics.values()
        },
        "devices": {a.plane.name: a.device for a in host.attachments},
        "provider_interface": host.provider_interface(),
        "network": digest(units(host, site)),
    }


def listed(value: Any) -> list[str]:
    """One value or a list of them, as a list of text."""
    return [str(v) for v in (value if isinstance(value, list) else [value]) if v]


def services_fact(wanted: Any, choice: list[str]) -> list[str]:
    """The site's optional services among those in `choice`; all by default."""
    if wanted is None:
        return choice
    if not isinstance(wanted, list):
        raise SiteError(f"cairn_services is {wanted!r}; it must be a list of names from {choice}")
    for name in wanted:
        if name not in choice:
            raise SiteError(
                f"cairn_services names {name!r}, which is no service that can be chosen or left out"
                f"{did_you_mean(str(name), choice)}"
            )
    return [name for name in choice if name in wanted]


def site_fact(site: Site, task_vars: dict[str, Any]) -> dict[str, Any]:
    """The whole fact of a valid site."""
    choice = optional(descriptions())
    shared = task_vars["hostvars"][next(iter(site.hosts))]
    given = {k: v if shared.get(k) is None else plain(shared[k]) for k, v in DEFAULTS.items()}
    vips = {
        "internal": str(site.planes["management"].vip),
        "public": str(site.planes[site.public_plane].vip),
    }
    return {
        "release": str(given["cairn_release"]),
        "region": given["cairn_region"],
        "services": services_fact(plain(shared.get("cairn_services")), choice),
        "inventory": str(shared.get("inventory_dir", "")),
        "planes": {name: plane_fact(plane) for name, plane in site.planes.items()},
        "hosts": {name: host_fact(host, site) for name, host in site.hosts.items()},
        "groups": {g: [h.name for h in site.hosts.values() if g in h.groups] for g in GROUPS},
        "vips": vips,
        "names": {
            side: plain(shared.get(f"cairn_{side}_name")) or vip for side, vip in vips.items()
        },
        "public_addresses": listed(plain(shared.get("cairn_public_address"))),
        "provider_networks": plain(shared.get("cairn_provider_networks") or {}),
    }


def read(task_vars: dict[str, Any]) -> tuple[Site, dict[str, Any]]:
    """The site and its fact; SiteError with all problems.

    task_vars: `groups` and `hostvars`, as Ansible has them in a task.
    """
    site, problems = site_of(task_vars)
    if not site.hosts:
        raise SiteError(
            f"no host is in any of the groups {', '.join(GROUPS)}; is this the inventory you meant?"
        )
    problems = [*disagreements(site, task_vars["hostvars"]), *problems]
    if problems:
        shown = sentences(problems, task_vars)
        raise SiteError("the inventory is wrong:\n  " + "\n  ".join(shown))
    return site, site_fact(site, task_vars)
