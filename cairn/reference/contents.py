"""The files, folders, units, users, packages and ports of each service on hosts.

They come from the manifests of the example inventory. CONDITIONS lists settings for what the
example does not use; pages show the setting as the condition.
"""

from __future__ import annotations

import configparser
import functools
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..service.manifest import Manifest
from ..site.certificates import certificate_authority
from ..site.planes import GROUPS
from .inventory import EXAMPLE, Inventory, placeholder
from .markdown import code


def own_certificate() -> dict[str, Any]:
    """Settings of a site with its own public certificate."""
    certificate, key = certificate_authority()
    return {"pki_public_certificate": certificate, "pki_public_key": key}


REALMS = {"europe": {"key": "realm-key", "clusters": {"one": "https://one.example:8080/v1/"}}}
Settings = Callable[[], dict[str, Any]]
# Condition to the roles that depend on it, and the settings with which it holds.
CONDITIONS: dict[str, tuple[tuple[str, ...], Settings]] = {
    "": ((), dict),
    "with `nfs` in `cinder_backends`": (
        ("cinder", "nova"),
        lambda: {"cinder_backends": ["lvm", "nfs"], "cinder_nfs_shares": ["192.0.2.9:/volumes"]},
    ),
    "with `iscsi_multipath`": (("iscsi",), lambda: {"iscsi_multipath": True}),
    "with `pki_public_certificate`": (("loadbalancer",), own_certificate),
    "with `swift_sync_realms`": (
        ("swift",),
        lambda: {"swift_sync_realms": REALMS, "swift_sync_current": "europe/one"},
    ),
    "with `glance_store: file`": (
        ("glance",),
        lambda: {"glance_store": "file", "glance_images_shared": True},
    ),
    "with `gnocchi_storage: file`": (
        ("gnocchi",),
        lambda: {"gnocchi_storage": "file", "gnocchi_folder_shared": True},
    ),
}


@dataclass
class Thing:
    """A file, folder, unit, user or package: on which hosts, under which condition."""

    kind: str
    role: str
    name: str
    about: Mapping[str, Any]
    condition: str
    hosts: dict[str, None] = field(default_factory=dict)


@functools.cache
def inventory() -> Inventory:
    """The example inventory."""
    return Inventory(EXAMPLE)


@functools.cache
def manifests(condition: str, host: str) -> dict[str, Manifest]:
    """What a host of the example gets with the settings of a condition."""
    roles, settings = CONDITIONS[condition]
    return inventory().manifests(host, *roles, **settings())


@functools.cache
def representatives() -> tuple[str, ...]:
    """Hosts of the example that represent all: the first of each group, and the last controller.

    Work for the whole site is done by the first controller, and some of it by the last.
    """
    site = inventory().site
    found: dict[str, None] = {}
    for group in GROUPS:
        members = [h.name for h in site.hosts.values() if group in h.groups]
        found[members[0]] = None
        if group == "controller":
            found[members[-1]] = None
    return tuple(found)


def things_of(role: str, manifest: Manifest) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """Kind, name and entry of every part of a manifest."""
    for file in manifest["files"]:
        path = file["path"] if file["path"].startswith("/") else f"/etc/{role}/{file['path']}"
        yield "file", path, file
    for folder in manifest["directories"]:
        yield "folder", folder["path"], folder
    for unit in manifest["units"]:
        yield "unit", unit["unit"], unit
    for name in manifest["packages"]:
        yield "package", name, {}
    user = manifest["user"]
    if user and user["name"] != "root":
        yield "user", user["name"], user
    if manifest["venv"]:
        yield "virtualenv", manifest["venv"]["lock"], manifest["venv"]
    for step in manifest["migrations"]:
        yield "migration", step["name"], step
    for command in manifest["validate"]:
        yield "validation", shown(command), {}


def shown(command: Iterable[str]) -> str:
    """A command as it is typed; braces of placeholders need no quotes."""
    return " ".join(_quoted(word) if re.search(r"\s", word) else word for word in command)


def _quoted(word: str) -> str:
    return shlex.quote(word) if re.search(r'["$`\\]', word) else f'"{word}"'


@functools.cache
def things() -> tuple[Thing, ...]:
    """Every thing once, in the order of roles, under its first condition."""
    found: dict[tuple[str, str, str], Thing] = {}
    for condition in CONDITIONS:
        new: dict[tuple[str, str, str], Thing] = {}
        for host in representatives():
            for role, manifest in manifests(condition, host).items():
                for kind, name, about in things_of(role, manifest):
                    key = (kind, role, name)
                    if key in found and condition:
                        continue
                    known = new.get(key) or Thing(kind, role, name, about, condition)
                    known.hosts[host] = None
                    new[key] = known
        found |= new
    return tuple(sorted(found.values(), key=lambda thing: thing.role))


def of(kind: str, role: str | None = None) -> list[Thing]:
    """The things of a kind, of all roles or of one."""
    return [t for t in things() if t.kind == kind and role in (None, t.role)]


def where(thing: Thing) -> str:
    """The groups that have a thing, as code."""
    site = inventory().site
    chosen = [
        group
        for group in GROUPS
        if {h for h in representatives() if group in site.hosts[h].groups} & set(thing.hosts)
    ]
    return "every host" if len(chosen) == len(GROUPS) else ", ".join(map(code, chosen))


def only_first(thing: Thing) -> bool:
    """Whether only one of several controllers has a thing."""
    controllers = [h for h in representatives() if h.startswith("controller")]
    return len(set(thing.hosts) & set(controllers)) == 1


def user_of(unit: Mapping[str, Any]) -> str:
    """The user that a unit of Cairn's runs as; empty for Debian's units."""
    return option(unit.get("text"), "Service", "User")


def option(text: str | None, section: str, name: str) -> str:
    """The first value of an option of a unit file; empty without one."""
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text or "")
    return parser.get(section, name, fallback="")


@functools.cache
def secret_uses() -> dict[str, tuple[str, ...]]:
    """Each secret of the example, and the files of hosts that contain it."""
    found: dict[str, dict[str, None]] = {name: {} for name in inventory().secrets()}
    for host in representatives():
        for role, manifest in manifests("", host).items():
            for kind, path, file in things_of(role, manifest):
                content = str(file.get("content", "")) if kind == "file" else ""
                for name in found:
                    if placeholder(name) in content:
                        found[name][path] = None
    return {name: tuple(places) for name, places in found.items()}
