"""The project's own declarations, services and variables, from its files. Control node only."""

from __future__ import annotations

import functools
import graphlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import PROJECT, plain_yaml
from ..errors import DescriptionError
from . import blocks
from .description import by_uwsgi, catalog_entries, chosen

VARIABLES = PROJECT / "cairn/site/variables.yml"


@functools.lru_cache(maxsize=32)
def read(load: Callable[[Path], Any], project: Path = PROJECT) -> dict[str, dict[str, Any]]:
    """Role name to its service description, with its Jinja; cached, so do not change it.

    `load` reads a YAML file. DescriptionError, with file and block, for a value of a wrong type.
    """
    described_by_role: dict[str, dict[str, Any]] = {}
    for path in sorted((project / "roles").glob("*/vars/main.yml")):
        role = path.parent.parent.name
        own = load(path) or {}
        if f"{role}_service" in own:
            described = own[f"{role}_service"]
            if isinstance(described, Mapping):  # a block that is null is none
                described = {name: block for name, block in described.items() if block is not None}
            blocks.check(role, described)
            described_by_role[role] = described
    return described_by_role


def plain(path: Path) -> Any:
    """A YAML file as plain data, without Ansible's tags."""
    return plain_yaml.load(path.read_text())


def descriptions(project: Path = PROJECT) -> dict[str, dict[str, Any]]:
    """Role name to its service description, as plain data.

    Code that runs for each host calls this at import, before Ansible forks a worker for each host.
    """
    return read(plain, project)


def optional(described: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Roles of optional services."""
    return [role for role, entry in described.items() if entry.get("optional")]


def of_site(
    described: Mapping[str, Mapping[str, Any]], site: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """The descriptions of the site's services."""
    return {role: entry for role, entry in described.items() if chosen(role, entry, site)}


def order(described: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return all roles, each after those in its description's `after`.

    A test compares this with the order of site.yml's plays.
    """
    sorter = graphlib.TopologicalSorter({role: after(role, described) for role in described})
    try:
        return list(sorter.static_order())
    except graphlib.CycleError as error:
        raise DescriptionError(
            f"services wait for one another: {' → '.join(error.args[1])}"
        ) from None


def after(role: str, described: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the roles in a description's `after`; all of them must exist."""
    named = list(described[role].get("after", []))
    unknown = sorted(set(named) - set(described))
    if unknown:
        raise DescriptionError(f"{role}_service: after names {unknown[0]!r}, which is no service")
    return named


def basis(role: str, described: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return all roles that must be deployed before a role, directly or indirectly."""
    return {one for name in after(role, described) for one in (name, *basis(name, described))}


def catalog_types(described: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The services' types in keystone's catalog, each with its role."""
    return {
        entry["type"]: role
        for role, description in described.items()
        for entry in catalog_entries(description.get("catalog"))
        if "type" in entry
    }


def defaults(role: str, project: Path = PROJECT) -> dict[str, Any]:
    """A role's default variables, with their Jinja."""
    loaded: dict[str, Any] = plain_yaml.load(
        (project / "roles" / role / "defaults" / "main.yml").read_text()
    )
    return loaded


@functools.cache
def scalars(project: Path = PROJECT) -> Mapping[str, str]:
    """The variables of roles that are numbers or booleans, with their types."""
    found = {}
    for path in sorted(project.glob("roles/*/meta/argument_specs.yml")):
        for entry in plain_yaml.load(path.read_text())["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                if option.get("type") in ("bool", "int", "float"):
                    found[name] = option["type"]
    return found


def namespaces(described: Mapping[str, Mapping[str, Any]], lock: str) -> list[list[str]]:
    """The distinct sets of oslo namespaces of the INI files of a lock's services."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for role, description in described.items():
        if description.get("lock") == lock:
            for entry in description.get("config") or []:
                names = found.setdefault((role, entry["file"]), {})
                names |= dict.fromkeys(entry.get("namespaces") or [])
    return sorted(map(list, {tuple(sorted(names)) for names in found.values() if names}))


def roles(project: Path = PROJECT) -> list[str]:
    """Names of all roles, the prefixes of their public variables."""
    return sorted(p.name for p in (project / "roles").iterdir() if p.is_dir())


def variables(project: Path = PROJECT) -> tuple[set[str], set[str]]:
    """Names that an inventory may set, and names that only a run sets."""
    data = plain_yaml.load((VARIABLES).read_text())
    known = set(data["inventory"])
    for path in (project / "roles").glob("*/meta/argument_specs.yml"):
        specs = (plain_yaml.load(path.read_text()) or {}).get("argument_specs", {})
        for spec in specs.values():
            known |= set((spec or {}).get("options") or {})
    known |= {
        f"{role}_config"
        for role, description in descriptions(project).items()
        if "config" in description
    }
    # Arguments that tasks pass to roles are not for inventories, but harmless there.
    return known, set(data["run"])


@functools.cache
def merged(project: Path = PROJECT) -> dict[str, int]:
    """Variables that are merged across the inventory's groups, with the depth of their keys."""
    data = plain_yaml.load((VARIABLES).read_text())
    configured = [
        role for role, description in descriptions(project).items() if "config" in description
    ]
    return {**dict.fromkeys((f"{role}_config" for role in configured), 3), **data["merged"]}


def etc_folders(described: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Roles whose /etc/<role> is a link to their generation."""
    return sorted(role for role, description in described.items() if _has_own_files(description))


def _has_own_files(description: Mapping[str, Any]) -> bool:
    """Whether a description puts files into /etc/<role>: a relative path, or uWSGI's file."""
    files, units = description.get("files"), description.get("units")
    return bool(
        description.get("config")
        or (isinstance(files, list) and any(not f["path"].startswith("/") for f in files))
        or (isinstance(units, dict) and any(map(by_uwsgi, units.values())))
    )


def packages(described: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Debian packages of the services, without those that are chosen by Jinja."""
    return {
        name
        for description in described.values()
        for entry in description.get("packages") or []
        if isinstance(entry["names"], list)
        for name in entry["names"]
    }


def ports(described: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The services' ports: role, protocol, port, groups, plane, and the units that may use them.

    Units with Jinja in port or groups are left out: preflight runs before templating.
    """
    found = []
    for role, description in described.items():
        units = description.get("units")
        if not isinstance(units, dict):
            continue
        own = [name if "." in name else f"{name}.service" for name in units]
        for unit in units.values():
            groups = unit.get("groups", description.get("groups", []))
            if isinstance(unit.get("port"), int) and isinstance(groups, list):
                found.append(
                    {
                        "role": role,
                        "protocol": "tcp",
                        "port": unit["port"],
                        "groups": groups,
                        "plane": unit.get("plane", "management"),
                        "units": own,
                    }
                )
    return found
