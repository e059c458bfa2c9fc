"""Reconciles keystone's services, endpoints, users and roles with those of the site.

Runs on the first controller in keystone's own virtualenv. `Declaration` takes any object with the
methods of `Api`; only that object uses HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from .. import errors
from .client import Client, bootstrap

DOMAIN = "default"
DOMAIN_ADMIN_ROLE = "admin"
INTERFACES = {"public": "public", "internal": "internal", "admin": "internal"}
"""Interface to the service's URL that it gets; admin is for clients that still use it."""

Data = dict[str, Any]


class Api(Protocol):
    """Keystone's identity API, version 3, as an administrator."""

    def call(self, method: str, path: str, body: Data | None = None) -> Data:
        """Send one request; returns the response's JSON, empty if there is none."""
        ...

    def exists(self, path: str) -> bool:
        """Whether `path` exists."""
        ...

    def password_is(self, user_id: str, password: str) -> bool:
        """Whether the user can log in with this password."""
        ...


class Declaration:
    """Reconciles keystone with a declaration; `changes` lists what was or would be done."""

    def __init__(self, api: Api, *, check_mode: bool) -> None:
        """In check mode nothing is written through `api`."""
        self.api = api
        self.check_mode = check_mode
        self.changes: list[str] = []

    def declare(
        self,
        region: str,
        services: Sequence[Data],
        users: Sequence[Data],
        domains: Sequence[Data] = (),
        roles: Sequence[str] = (),
    ) -> list[str]:
        """Declare everything; returns the changes.

        `services`: name, type, description, internal and public (URLs). `users`: name, password,
        project, roles. `domains`: name, admin (a user of the domain who administers only it) and
        password. `roles`: roles that no user has yet. Other entries of keystone are left alone,
        except further endpoints of these services in this region: each interface keeps one.
        """
        self._region(region)
        wanted = {*roles, *(role for user in users for role in user["roles"])}
        if domains:
            wanted.add(DOMAIN_ADMIN_ROLE)
        known: Mapping[str, str] = {}
        if wanted:
            known = self._named("role", wanted, self._known("roles", "name", sorted(wanted)), {})
        self._users(users, known)
        self._domains(domains, known)
        self._services(region, services)
        return self.changes

    def _write(self, said: str, method: str, path: str, body: Data | None = None) -> Data:
        self.changes.append(said)
        return {} if self.check_mode else self.api.call(method, path, body)

    def _list(self, what: str, **query: str) -> list[Data]:
        return list(self._answer(what, query)[what])

    def _answer(self, what: str, query: Mapping[str, str]) -> Data:
        words = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        return self.api.call("GET", f"/{what}{'?' if words else ''}{words}")

    def _known(self, what: str, key: str, values: Iterable[str], **query: str) -> list[Data]:
        """All entries whose `key` is one of `values`, and maybe others.

        One request, unless keystone truncates its answer (list_limit): then one for each value.
        """
        answer = self._answer(what, query)
        if not answer.get("truncated"):
            return list(answer[what])
        return [entry for value in values for entry in self._list(what, **query, **{key: value})]

    def _region(self, region: str) -> None:
        if not self.api.exists(f"/regions/{quote(region, safe='')}"):
            self._write(f"region {region}", "POST", "/regions", {"region": {"id": region}})

    def _named(
        self, kind: str, names: set[str], known: Iterable[Data], body: Data
    ) -> Mapping[str, str]:
        """Ids by name of projects, domains or roles; missing ones are created.

        In check mode the id of an entry that would be created is None.
        """
        ids = {entry["name"]: entry["id"] for entry in known}
        for name in sorted(names - set(ids)):
            made = self._write(
                f"{kind} {name}", "POST", f"/{kind}s", {kind: {"name": name, **body}}
            )
            ids[name] = made.get(kind, {}).get("id")
        return ids

    def _users(self, users: Sequence[Data], roles: Mapping[str, str]) -> None:
        if not users:
            return
        domain = {"domain_id": DOMAIN}
        wanted_projects = {user["project"] for user in users}
        there = self._known("projects", "name", sorted(wanted_projects), **domain)
        projects = self._named("project", wanted_projects, there, domain)
        names = [user["name"] for user in users]
        known = {entry["name"]: entry for entry in self._known("users", "name", names, **domain)}
        for user in users:
            name, project = user["name"], user["project"]
            has = self._granted(known.get(name), "project", projects[project])
            entry = self._user(name, user["password"], DOMAIN, known.get(name))
            wanted = {role: roles[role] for role in user["roles"]}
            self._grant(name, entry, wanted, has, "project", project, projects[project])

    def _domains(self, domains: Sequence[Data], roles: Mapping[str, str]) -> None:
        if not domains:
            return
        names = [domain["name"] for domain in domains]
        known = {entry["name"]: entry for entry in self._known("domains", "name", names)}
        made = self._named("domain", set(names), known.values(), {})
        for domain in domains:
            name, admin = domain["name"], domain["admin"]
            identifier = made[name]
            if name in known and not known[name]["enabled"]:
                body = {"domain": {"enabled": True}}
                self._write(f"domain {name}: enabled", "PATCH", f"/domains/{identifier}", body)
            there = self._list("users", domain_id=identifier, name=admin) if identifier else []
            entry = next((user for user in there if user["name"] == admin), None)
            has = self._granted(entry, "domain", identifier)
            entry = self._user(admin, domain["password"], identifier, entry)
            wanted = {DOMAIN_ADMIN_ROLE: roles[DOMAIN_ADMIN_ROLE]}
            self._grant(admin, entry, wanted, has, "domain", name, identifier)

    def _user(
        self, name: str, password: str, domain: str | None, entry: Data | None
    ) -> Data | None:
        if entry is None:
            body = {"name": name, "password": password, "domain_id": domain, "enabled": True}
            return self._write(f"user {name}", "POST", "/users", {"user": body}).get("user")
        path = f"/users/{entry['id']}"
        if not entry["enabled"]:
            self._write(f"user {name}: enabled", "PATCH", path, {"user": {"enabled": True}})
        if not self.api.password_is(entry["id"], password):
            self._write(f"user {name}: password", "PATCH", path, {"user": {"password": password}})
        return entry

    def _granted(self, entry: Data | None, kind: str, identifier: str | None) -> set[str]:
        """Ids of the roles that a user has in a project or domain (`kind`)."""
        if not entry or not identifier:
            return set()
        query = {"user.id": entry["id"], f"scope.{kind}.id": identifier}
        return {grant["role"]["id"] for grant in self._list("role_assignments", **query)}

    def _grant(
        self,
        name: str,
        entry: Data | None,
        roles: Mapping[str, str],
        has: set[str],
        kind: str,
        place: str,
        identifier: str | None,
    ) -> None:
        """Grant a user `roles` (ids by name) in the project or domain (`kind`) `place`."""
        for role, wanted in roles.items():
            if wanted in has:
                continue
            path = f"/{kind}s/{identifier}/users/{(entry or {}).get('id')}/roles/{wanted}"
            self._write(f"user {name}: role {role} in {kind} {place}", "PUT", path)

    def _services(self, region: str, services: Sequence[Data]) -> None:
        known = self._known("services", "type", [service["type"] for service in services])
        entries = [self._service(service, known) for service in services]
        identifiers = [entry["id"] if entry else None for entry in entries]
        there = [identifier for identifier in identifiers if identifier]
        endpoints = self._known("endpoints", "service_id", there, region_id=region)
        for service, identifier in zip(services, identifiers, strict=True):
            mine = [e for e in endpoints if identifier and e["service_id"] == identifier]
            for interface, side in INTERFACES.items():
                here = [e for e in mine if e["interface"] == interface]
                self._endpoint(service, identifier, region, interface, service[side], here)

    def _service(self, service: Data, known: Sequence[Data]) -> Data | None:
        body = {key: service[key] for key in ("name", "type", "description")}
        same = [entry for entry in known if entry["type"] == service["type"]]
        same.sort(key=lambda entry: entry.get("name") != service["name"])
        if not same:
            said = f"service {service['type']}"
            made = self._write(said, "POST", "/services", {"service": {**body, "enabled": True}})
            return made.get("service")
        entry = same[0]
        wanted = {**body, "enabled": True}
        if any(entry.get(key) != value for key, value in wanted.items()):
            said = f"service {service['type']}: name, description, enabled"
            self._write(said, "PATCH", f"/services/{entry['id']}", {"service": wanted})
        return entry

    def _endpoint(
        self,
        service: Data,
        identifier: str | None,
        region: str,
        interface: str,
        url: str,
        here: Sequence[Data],
    ) -> None:
        said = f"endpoint {service['type']} {interface}: {url}"
        if not here:
            body = {
                "service_id": identifier,
                "region_id": region,
                "interface": interface,
                "url": url,
                "enabled": True,
            }
            self._write(said, "POST", "/endpoints", {"endpoint": body})
            return
        first, *more = here
        if first["url"] != url or not first["enabled"]:
            body = {"url": url, "enabled": True}
            self._write(said, "PATCH", f"/endpoints/{first['id']}", {"endpoint": body})
        for entry in more:
            path = f"/endpoints/{entry['id']}"
            self._write(f"endpoint {service['type']} {interface}: a second one", "DELETE", path)


# --- on the host ------------------------------------------------------------------------------


def declare(asked: Data, check_mode: bool) -> list[str]:
    """Declare everything in this host's keystone; returns the changes as sentences.

    `asked`: `auth_url` and `ca_file` of the API; `admin_password`; `bootstrap`, the command that
    creates the administrator, and `user`, who runs it; and `region`, `services`, `users`, `domains`
    and `roles` for `Declaration.declare`. If the administrator cannot log in, keystone is
    bootstrapped first; in check mode nothing changes, and nothing more is known then. HostError if
    keystone refuses a request, does not answer or cannot be bootstrapped.
    """
    client = Client(asked["auth_url"], asked["ca_file"])
    changes: list[str] = []
    if not client.login(asked["admin_password"]):
        changes.append("user admin: bootstrapped")
        if check_mode:
            return changes
        bootstrap(asked["bootstrap"], asked["user"], asked["admin_password"])
        if not client.login(asked["admin_password"]):
            raise errors.HostError("keystone was bootstrapped, but admin still cannot log in")
    declaration = Declaration(client, check_mode=check_mode)
    changes += declaration.declare(
        asked["region"], asked["services"], asked["users"], asked["domains"], asked["roles"]
    )
    return changes
