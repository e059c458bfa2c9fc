"""The desired state: every role's description, and each host's part of it. Control node only.

Action plugins create one `Model` per task. Loading and templating are passed in, so that tests
need no Ansible.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import PROJECT
from ..errors import DescriptionError
from . import blocks, dialects, oslo, registry
from .description import catalog_entries
from .manifest import Manifest, build, digest
from .manifest_cache import unseal
from .units import health_path

TRUE, FALSE = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")
CONVERSIONS: Mapping[str, Callable[[str], Any]] = {
    "bool": lambda text: {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[text.lower()],
    "int": int,
    "float": lambda text: int(text) if text.strip().isdecimal() else float(text),
}
Load = Callable[[Path], Any]
Template = Callable[[Any, Mapping[str, Any]], Any]
Render = Callable[[Path, Mapping[str, Any]], str]


class Model:
    """Descriptions of all roles, templated for one host (`me`).

    `variables` are the host's variables in Ansible, including `cairn_site`, `cairn_secrets` and
    `cairn_host`. `load` reads a YAML file, `template` renders its Jinja, `render` renders a
    template file.
    """

    def __init__(
        self,
        *,
        host: str,
        variables: Mapping[str, Any],
        load: Load,
        template: Template,
        render: Render,
        project: Path = PROJECT,
        kept: Mapping[str, str] | None = None,
    ) -> None:
        """Create the model of `host`; everything is read on demand.

        `kept`: its manifests from `manifest_cache.seal`, which are reused.
        """
        self.project = project
        self.site: Mapping[str, Any] = variables["cairn_site"]
        self.secrets: Mapping[str, str] = variables.get("cairn_secrets", {})
        self.host = host
        self.given: Mapping[str, Any] = variables
        self._variables = {
            **variables,
            **from_texts(variables, registry.scalars(project)),
            "cairn_secrets": dialects.tokens(self.secrets),
        }
        self._load = load
        self._template = template
        self._render = render
        self._kept = kept or {}
        self._done: dict[tuple[str, str], Any] = {}

    @property
    def me(self) -> dict[str, Any]:
        """This host in the site: its name, groups, number and address on each plane."""
        known = self.site["hosts"].get(self.host)
        if known is None:
            raise DescriptionError(
                f"{self.host}: not a managed host of this site; add it to one of the groups "
                f"{sorted(self.site['groups'])} of the inventory"
            )
        return {"name": self.host, **known}

    def roles(self) -> list[str]:
        """Names of the roles whose services this site has, sorted."""
        if ("roles", "") not in self._done:
            described = registry.read(self._load, self.project)
            self._done["roles", ""] = list(registry.of_site(described, self.site))
        found: list[str] = self._done["roles", ""]
        return found

    def raw(self, role: str) -> Mapping[str, Any]:
        """A role's description before templating."""
        described = registry.read(self._load, self.project)
        if role not in described:
            path = self.project / "roles" / role / "vars" / "main.yml"
            raise DescriptionError(f"role {role} has no {role}_service in {path}")
        return described[role]

    def variables(self, role: str) -> dict[str, Any]:
        """The variables of a role's Jinja: defaults, inventory and vars, in rising precedence."""
        key = ("variables", role)
        if key not in self._done:
            base = self.project / "roles" / role
            defaults = base / "defaults" / "main.yml"
            own = self._load(base / "vars" / "main.yml") or {}
            self._done[key] = {
                **((self._load(defaults) or {}) if defaults.exists() else {}),
                **self._variables,
                **{k: v for k, v in own.items() if k != f"{role}_service"},
                "cairn_me": self.me,
                "cairn_host_lines": self.host_lines(),
            }
            if role == "loadbalancer":
                self._done[key]["cairn_frontends"] = self.frontends()
        found: dict[str, Any] = self._done[key]
        return found

    def host_lines(self) -> str:
        """The hosts of the site as lines of /etc/hosts.

        As text, because rendering each line on each host in Jinja is slow.
        """
        if ("host_lines", "") not in self._done:
            self._done["host_lines", ""] = "\n".join(
                f"{host['addresses']['management']} {name}"
                for name, host in self.site["hosts"].items()
            )
        lines: str = self._done["host_lines", ""]
        return lines

    def part(self, role: str, name: str) -> Any:
        """One key of a role's description, templated; None if it is missing."""
        key = (role, name)
        if key not in self._done:
            value = self.raw(role).get(name)
            if value is not None:
                value = self._template(value, self.variables(role))
                blocks.check(role, value, name)
            self._done[key] = value
        return self._done[key]

    def templated(self, role: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values templated with the role's variables."""
        found: dict[str, Any] = self._template(dict(values), self.variables(role))
        return found

    def has_part_of(self, role: str) -> bool:
        """Whether any part of the service belongs on this host."""
        groups = self.raw(role)["groups"]
        return "all" in groups or bool(set(groups) & set(self.me["groups"]))

    def hosts_of(self, groups: list[str]) -> list[str]:
        """Managed hosts of the given groups in the order of the inventory."""
        return [
            name
            for name, host in self.site["hosts"].items()
            if "all" in groups or set(groups) & set(host["groups"])
        ]

    def lock(self, name: str) -> str:
        """The text of a lock file of the site's release."""
        path = self.project / "releases" / self.site["release"] / f"{name}.lock"
        try:
            text: str = path.read_text()
        except OSError as error:
            raise DescriptionError(
                f"no lock {path}; create it with: make lock RELEASE={self.site['release']}"
            ) from error
        return text

    def manifest(self, role: str) -> Manifest | None:
        """The manifest of a service on this host; None if no part of it belongs here."""
        key = ("manifest", role)
        if key in self._done:
            known: Manifest | None = self._done[key]
            return known
        made = unseal(self._kept.get(role))
        if made is None and self.has_part_of(role):
            variables = self.variables(role)
            folder = self.project / "roles" / role
            overrides = variables.get(f"{role}_config") or {}
            made = build(
                role,
                {name: self.part(role, name) for name in self.raw(role)},
                site=self.site,
                me=self.me,
                secrets=self.secrets,
                overrides=self._template(overrides, variables) if overrides else {},
                read_lock=self.lock,
                read_file=lambda name: (folder / "files" / name).read_text(),
                render_template=lambda name: self._render(folder / "templates" / name, variables),
            )
        self._done[key] = made
        return made

    def manifests(self) -> dict[str, Manifest]:
        """Manifests of all services on this host."""
        found = {role: self.manifest(role) for role in self.roles()}
        return {role: made for role, made in found.items() if made}

    def frontends(self, only: str | None = None) -> list[dict[str, Any]]:
        """The load balancer's frontends, of all roles or of one: one for each unit with `frontend`.

        Each is {name, role, port, mode, public, internal, health_path, timeout, static, servers:
        [{name, address, port}]} plus the other keys of the unit's `frontend`. `health_path` is None
        if HAProxy only checks the port. `static` has the servers of the unit of that name, which
        answer all requests except websockets.
        """
        found = []
        for role in self.roles():
            if role == "loadbalancer" or only not in (None, role):
                continue
            units = self.part(role, "units") or {}
            for name, unit in units.items():
                if "frontend" not in unit or unit["frontend"] is None:
                    continue
                wanted = dict(unit["frontend"])
                port = wanted.pop("server_port", unit.get("port"))
                static = wanted.pop("static", None)
                found.append(
                    {
                        "name": name,
                        "role": role,
                        "port": unit.get("port"),
                        "mode": "http",
                        "public": True,
                        "internal": True,
                        "health_path": health_path(unit, wanted),
                        "timeout": None,
                        "static": self._backend(role, static, units) if static else None,
                        "servers": self._servers(role, unit, port),
                        **wanted,
                    }
                )
        return found

    def _backend(self, role: str, name: str, units: Mapping[str, Any]) -> dict[str, Any]:
        """The backend of a frontend's `static`: another unit of its service."""
        if name not in units:
            raise DescriptionError(
                f"{role}_service: a frontend's static names {name!r}; units are {sorted(units)}"
            )
        unit = units[name]
        servers = self._servers(role, unit, unit.get("port"))
        return {"name": name, "health_path": health_path(unit, {}), "servers": servers}

    def _servers(self, role: str, unit: Mapping[str, Any], port: Any) -> list[dict[str, Any]]:
        """The hosts of a unit, as HAProxy's servers."""
        plane = unit.get("plane", "management")
        hosts = self.hosts_of(list(unit.get("groups", self.raw(role)["groups"])))
        return [
            {"name": host, "address": self.site["hosts"][host]["addresses"][plane], "port": port}
            for host in hosts
        ]

    def secret(self, name: str) -> str:
        """A secret of the site; the error names the command that creates it."""
        if name not in self.secrets:
            raise DescriptionError(
                f"cairn_secrets has no {name!r}; add missing secrets with: "
                f"make secrets INVENTORY={self.site.get('inventory', 'inventories/…')}"
            )
        return dialects.write(name, str, self.secrets)

    def databases(self) -> list[dict[str, Any]]:
        """All databases of the cloud: {name, user, password}."""
        return [
            {"name": name, "user": role, "password": self.secret(f"database_{role}")}
            for role in self.roles()
            for name in self.part(role, "databases") or []
        ]

    def queues(self) -> list[dict[str, Any]]:
        """All queue users: {user, vhost, password, grants, policies}.

        `grants` are permissions in other virtual hosts, `policies` apply to its own.
        """
        found = []
        for role in self.roles():
            wanted = self.part(role, "queue")
            if not wanted:
                continue
            tenant: dict[str, Any] = {
                "user": role,
                "vhost": f"/{role}",
                "password": self.secret(f"queue_{role}"),
            }
            if oslo.notified(self.site) and role != oslo.NOTIFIED:
                tenant["grants"] = [oslo.notification_grant(role)]
            if isinstance(wanted, Mapping):
                tenant["policies"] = list(wanted.get("policies", []))
            found.append(tenant)
        return found

    def catalog(self) -> dict[str, Any]:
        """The declarations for keystone: {region, services, users, domains, roles}."""
        services, users, domains, roles = [], {}, [], set()
        names = self.site["names"]
        for role in self.roles():
            for entry in catalog_entries(self.part(role, "catalog")):
                if entry.get("type"):
                    url = f":{entry['port']}{entry.get('path', '')}"
                    services.append(
                        {
                            "name": entry.get("name", role),
                            "type": entry["type"],
                            "description": entry.get("description", ""),
                            "internal": f"https://{names['internal']}{url}",
                            "public": f"https://{names['public']}{url}",
                        }
                    )
                if entry.get("roles"):
                    user = entry.get("user", role)
                    users[user] = {
                        "name": user,
                        "password": self.secret(f"service_{user}"),
                        "project": "service",
                        "roles": list(entry["roles"]),
                    }
                if domain := entry.get("domain"):
                    password = self.secret(f"service_{domain['admin']}")
                    domains.append({**domain, "password": password})
                roles.update(entry.get("extra_roles", []))
        return {
            "region": self.site["region"],
            "services": services,
            "users": list(users.values()),
            "domains": domains,
            "roles": sorted(roles),
        }


def from_texts(variables: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """The numbers and booleans among variables that are given as text, as from `-e name=value`.

    Others keep their text, which is refused (see deciding.check_variables).
    """
    found = {}
    for name, kind in types.items():
        text = variables.get(name)
        if isinstance(text, str):
            with contextlib.suppress(KeyError, ValueError):
                found[name] = CONVERSIONS[kind](text)
    return found


def stale(
    model: Model, host_state: Mapping[str, Any], now: datetime | None = None
) -> dict[str, list[str]]:
    """Why each service of a host is stale: role to sentences; empty if none is.

    `host_state` is the host's probe. The record `due-<role>` has the time (UTC, ISO 8601) from
    which the role has something to renew.
    """
    today = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    reasons: dict[str, list[str]] = {}
    records = host_state.get("records", {})
    for role, wanted in model.manifests().items():
        state = host_state.get("services", {}).get(role, {})
        why = [cause["text"] for cause in state.get("drift", [])]
        if state.get("current") is None:
            why.insert(0, "not there yet")
        elif state["current"] != wanted["id"]:
            why.insert(0, f"generation {state['current']} becomes {wanted['id']}")
        why += [f"{name} is not as recorded" for name in due_records(wanted, records)]
        why += [
            f"schema step {step['name']} is due"
            for step in wanted["migrations"]
            if records.get(migration_record(role, step["phase"])) != migration_value(wanted)
        ]
        due = records.get(f"due-{role}")
        if due and due <= today:
            why.append(f"has something to renew since {due}")
        if why:
            reasons[role] = list(dict.fromkeys(why))
    return reasons


def due_records(wanted: Mapping[str, Any], records: Mapping[str, str]) -> list[str]:
    """The records of a manifest that are missing on the host or have other values."""
    return [name for name, value in wanted["records"].items() if records.get(name) != digest(value)]


def migration_record(role: str, phase: str) -> str:
    """The name of the record of the code that last migrated a schema."""
    return f"schema-{role}-{phase}"


def contract_record(role: str) -> str:
    """The name of the record of the release to which a schema was moved irreversibly."""
    return f"contracted-{role}"


def migration_value(wanted: Mapping[str, Any]) -> str:
    """The value of that record: a hash of the virtualenv and the commands of the migration."""
    return digest([wanted["venv"], wanted["migrations"]])
