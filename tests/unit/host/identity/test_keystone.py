"""Keystone's catalog, declared to a keystone that is a few dictionaries."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cairn.service.model import Model
from cairn_host.identity.keystone import Declaration

GLANCE = {
    "name": "glance",
    "type": "image",
    "description": "OpenStack Image",
    "internal": "https://in:9292",
    "public": "https://out:9292",
}
HEAT = {"name": "heat", "admin": "heat_domain_admin", "password": "domain"}
USER = {"name": "glance", "password": "right", "project": "service", "roles": ["admin", "service"]}


class FakeKeystone:
    """What Declaration needs of keystone's API; `writes` lists what was changed."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, dict[str, Any]]] = {
            kind: {}
            for kind in (
                *("regions", "projects", "domains", "roles", "users", "services", "endpoints"),
            )
        }
        self.grants: set[tuple[str, str, str]] = set()
        self.writes: list[tuple[str, str]] = []
        self.limit: int | None = None  # keystone's list_limit
        self.numbers = itertools.count(1)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        parts = urlsplit(path)
        kind, *rest = parts.path.strip("/").split("/")
        if method == "GET":
            found = self.read(kind, {k: v[0] for k, v in parse_qs(parts.query).items()})
            limited = self.limit is not None and kind != "role_assignments"
            if limited and len(found) > (self.limit or 0):
                return {kind: found[: self.limit], "truncated": True}
            return {kind: found}
        self.writes.append((method, path))
        if method == "PUT":
            place, _, user, _, role = rest
            assert place in self.tables[kind]
            assert user in self.tables["users"]
            assert role in self.tables["roles"]
            self.grants.add((user, place, role))
            return {}
        if method == "DELETE":
            del self.tables[kind][rest[0]]
            return {}
        assert body is not None
        single = kind.removesuffix("s")
        if method == "POST":
            entry = {"id": f"{single}{next(self.numbers)}", "enabled": True, **body[single]}
            self.tables[kind][entry["id"]] = entry
        else:
            entry = self.tables[kind][rest[0]]
            entry.update(body[single])
        return {single: entry}

    def read(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        if kind == "role_assignments":
            (place,) = [query[name] for name in query if name.startswith("scope.")]
            wanted = (query["user.id"], place)
            return [{"role": {"id": g[2]}} for g in sorted(self.grants) if g[:2] == wanted]
        return [
            entry
            for entry in self.tables[kind].values()
            if all(entry.get(name, value) == value for name, value in query.items())
        ]

    def exists(self, path: str) -> bool:
        kind, identifier = path.strip("/").split("/")
        return identifier in {entry["id"] for entry in self.tables[kind].values()}

    def password_is(self, user_id: str, password: str) -> bool:
        return bool(self.tables["users"][user_id]["password"] == password)


@pytest.fixture
def keystone() -> FakeKeystone:
    return FakeKeystone()


@pytest.fixture
def declared(keystone: FakeKeystone) -> FakeKeystone:
    declare(keystone)
    keystone.writes.clear()
    return keystone


def declare(keystone: FakeKeystone, check_mode: bool = False, **service: str) -> list[str]:
    declaration = Declaration(keystone, check_mode=check_mode)
    return declaration.declare("RegionOne", [{**GLANCE, **service}], [USER])


def only(keystone: FakeKeystone, kind: str) -> dict[str, Any]:
    (entry,) = keystone.tables[kind].values()
    return entry


def test_an_empty_keystone_gets_everything(keystone: FakeKeystone) -> None:
    declare(keystone)
    assert only(keystone, "regions")["id"] == "RegionOne"
    assert only(keystone, "services")["type"] == "image"
    urls = {e["interface"]: e["url"] for e in keystone.tables["endpoints"].values()}
    assert urls == {
        "public": "https://out:9292",
        "internal": "https://in:9292",
        "admin": "https://in:9292",
    }
    assert {entry["name"] for entry in keystone.tables["roles"].values()} == {"admin", "service"}
    assert len(keystone.grants) == 2


def test_the_second_time_nothing_is_written(declared: FakeKeystone) -> None:
    assert declare(declared) == []
    assert declared.writes == []


def test_what_a_limited_list_leaves_out_is_known_all_the_same() -> None:
    keystone = FakeKeystone()
    for kind in ("regions", "projects", "domains", "roles", "users", "services", "endpoints"):
        for number in range(9):
            other = {"id": f"{kind}-other{number}", "name": f"other{number}", "enabled": True}
            if kind == "services":
                other["type"] = f"other{number}"
            if kind in ("projects", "users"):
                other["domain_id"] = "default"
            if kind == "endpoints":
                other |= {"service_id": "services-other1", "region_id": "RegionOne"}
                other |= {"interface": "public", "url": "https://other"}
            keystone.tables[kind][other["id"]] = other
    keystone.limit = 3
    assert len(declare_heat(keystone)) > 5
    keystone.writes.clear()
    assert declare_heat(keystone) == []
    assert declare_heat(keystone, check_mode=True) == []
    assert keystone.writes == []


def test_check_mode_tells_the_same_and_writes_nothing(keystone: FakeKeystone) -> None:
    done = declare(keystone, check_mode=True)
    assert keystone.writes == []
    assert done == declare(keystone)


def test_a_moved_service_gets_its_endpoints_changed_in_place(declared: FakeKeystone) -> None:
    before = set(declared.tables["endpoints"])
    assert declare(declared, public="https://new:9292") == [
        "endpoint image public: https://new:9292"
    ]
    assert set(declared.tables["endpoints"]) == before


def test_a_second_endpoint_of_an_interface_is_removed(declared: FakeKeystone) -> None:
    double = {**next(iter(declared.tables["endpoints"].values())), "id": "double"}
    declared.tables["endpoints"]["double"] = double
    assert declare(declared) == [f"endpoint image {double['interface']}: a second one"]
    assert "double" not in declared.tables["endpoints"]


def test_endpoints_of_another_region_are_left_alone(declared: FakeKeystone) -> None:
    other = {**next(iter(declared.tables["endpoints"].values())), "id": "o", "region_id": "Two"}
    declared.tables["endpoints"]["o"] = other
    assert declare(declared) == []
    assert "o" in declared.tables["endpoints"]


def test_a_wrong_password_is_set_right_and_never_shown(declared: FakeKeystone) -> None:
    only(declared, "users")["password"] = "wrong"
    done = declare(declared)
    assert done == ["user glance: password"]
    assert only(declared, "users")["password"] == "right"


def test_a_disabled_user_is_enabled(declared: FakeKeystone) -> None:
    only(declared, "users")["enabled"] = False
    assert declare(declared) == ["user glance: enabled"]


def test_a_lost_grant_is_given_again(declared: FakeKeystone) -> None:
    declared.grants.pop()
    assert len(declare(declared)) == 1
    assert len(declared.grants) == 2


def test_a_service_is_known_by_its_type_and_renamed(declared: FakeKeystone) -> None:
    assert declare(declared, name="image-service") == ["service image: name, description, enabled"]
    assert only(declared, "services")["name"] == "image-service"


def declare_heat(keystone: FakeKeystone, check_mode: bool = False, **domain: str) -> list[str]:
    declaration = Declaration(keystone, check_mode=check_mode)
    roles = ["heat_stack_user"]
    return declaration.declare("RegionOne", [GLANCE], [USER], [{**HEAT, **domain}], roles)


@pytest.fixture
def with_heat(declared: FakeKeystone) -> FakeKeystone:
    declare_heat(declared)
    declared.writes.clear()
    return declared


def domain_admin(keystone: FakeKeystone) -> dict[str, Any]:
    (domain,) = keystone.tables["domains"]
    (entry,) = keystone.read("users", {"domain_id": domain})
    return entry


def test_a_domain_gets_an_administrator_of_itself_alone(declared: FakeKeystone) -> None:
    assert declare_heat(declared) == [
        "role heat_stack_user",
        "domain heat",
        "user heat_domain_admin",
        "user heat_domain_admin: role admin in domain heat",
    ]
    admin = domain_admin(declared)
    assert admin["name"] == "heat_domain_admin"
    places = {place for user, place, _ in declared.grants if user == admin["id"]}
    assert places == set(declared.tables["domains"])


def test_a_domain_is_declared_once(with_heat: FakeKeystone) -> None:
    assert declare_heat(with_heat) == []
    assert with_heat.writes == []


def test_check_mode_tells_of_a_domain_and_makes_none(declared: FakeKeystone) -> None:
    done = declare_heat(declared, check_mode=True)
    assert declared.writes == []
    assert done == declare_heat(declared)


def test_a_domains_administrator_is_not_one_of_the_same_name_elsewhere(
    declared: FakeKeystone,
) -> None:
    (glance,) = declared.tables["users"].values()
    glance["name"] = HEAT["admin"]
    declare_heat(declared)
    assert domain_admin(declared)["id"] != glance["id"]


def test_a_disabled_domain_with_a_wrong_password_is_set_right(with_heat: FakeKeystone) -> None:
    only(with_heat, "domains")["enabled"] = False
    domain_admin(with_heat)["password"] = "wrong"
    assert declare_heat(with_heat) == [
        "domain heat: enabled",
        "user heat_domain_admin: password",
    ]


def test_the_services_that_are_left_out_are_unknown_to_keystone(
    make_model: Callable[..., Model],
) -> None:
    catalog = make_model("controller1").catalog()
    assert catalog["domains"] == []
    assert "orchestration" not in {service["type"] for service in catalog["services"]}
