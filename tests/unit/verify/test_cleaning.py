"""Whatever any run made is found and removed, in an order that the services accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from openstack import exceptions

from cairn.verify import run as verify_run
from cairn.verify.run import PREFIX, ProofError

KINDS = ("projects", "users", "keypairs", "flavors", "servers", "forwardings", "ips", "routers",
         "ports", "networks", "security_groups", "images")  # fmt: skip
# What must be gone before what: a service refuses the other order.
DEPENDS = {
    "ips": ("forwardings",),
    "routers": ("ips", "ports"),
    "ports": ("servers",),
    "networks": ("ports", "routers"),
    "security_groups": ("servers",),
    "users": ("keypairs",),
    "projects": ("servers", "ips", "routers", "ports", "networks", "security_groups", "images"),
}


class Cloud:
    """Resources in memory, with as much of openstacksdk's connection as the cleaning uses."""

    def __init__(self) -> None:
        self.resources: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        self.refuses: set[str] = set()
        proxy = SimpleNamespace(**{kind: self.lister(kind) for kind in KINDS})
        for kind, verb in {
            "projects": "delete_project",
            "users": "delete_user",
            "flavors": "delete_flavor",
            "ips": "delete_ip",
            "routers": "delete_router",
            "ports": "delete_port",
            "networks": "delete_network",
            "security_groups": "delete_security_group",
            "images": "delete_image",
        }.items():
            setattr(proxy, verb, self.remover(kind))
        proxy.port_forwardings = lambda ip: self.lister("forwardings")(project_id=ip.project_id)
        proxy.delete_port_forwarding = lambda one, _ip: self.remove("forwardings", one)
        proxy.delete_keypair = self.delete_keypair
        proxy.delete_server = self.delete_server
        proxy.wait_for_delete = self.wait_for_delete
        proxy.remove_interface_from_router = self.remove_interface
        self.dying: list[Any] = []
        self.compute = self.identity = self.network = self.image = proxy

    def add(self, kind: str, name: str, **attributes: Any) -> Any:
        one = SimpleNamespace(id=f"{kind}-{name}", name=name, kind=kind, **attributes)
        self.resources[kind].append(one)
        return one

    def lister(self, kind: str) -> Callable[..., Iterator[Any]]:
        def found(**query: Any) -> Iterator[Any]:
            filters = {
                key: value
                for key, value in query.items()
                if key in ("project_id", "user_id", "owner", "device_id", "is_router_external")
            }
            return iter(
                [
                    one
                    for one in self.resources[kind]
                    if all(getattr(one, key, None) == value for key, value in filters.items())
                ]
            )

        return found

    def remover(self, kind: str) -> Callable[[Any], None]:
        return lambda one: self.remove(kind, one)

    def remove_interface(self, router: Any, port: str) -> None:
        """Other than a port in general, it goes while there are servers."""
        (one,) = [one for one in self.resources["ports"] if one.id == port]
        used = [ip for ip in self.resources["ips"] if ip.project_id == one.project_id]
        if used or one.name in self.refuses:
            raise exceptions.ConflictException(f"{one.name} is in use")
        self.resources["ports"].remove(one)

    def delete_server(self, server: Any, force: bool) -> None:
        if server.name in self.refuses:
            raise exceptions.ConflictException(f"{server.name} is in use")
        self.dying.append(server)

    def wait_for_delete(self, server: Any, wait: int) -> None:
        """Servers go while one of them is waited for."""
        assert server in self.dying
        for one in self.dying:
            if one in self.resources["servers"]:
                self.remove("servers", one)

    def delete_keypair(self, name: str, user_id: str) -> None:
        key = next(k for k in self.resources["keypairs"] if (k.name, k.user_id) == (name, user_id))
        self.remove("keypairs", key)

    def remove(self, kind: str, one: Any) -> None:
        if one.name in self.refuses:
            raise exceptions.ConflictException(f"{one.name} is in use")
        project = getattr(one, "project_id", one.id if kind == "projects" else None)
        for other in DEPENDS.get(kind, ()):
            if project and [o for o in self.resources[other] if of(o) == project]:
                raise exceptions.ConflictException(f"{kind} {one.name} still has {other}")
        self.resources[kind].remove(one)

    def left(self) -> list[str]:
        return [f"{kind} {one.name}" for kind in KINDS for one in self.resources[kind]]


def of(resource: Any) -> str | None:
    return getattr(resource, "project_id", None) or getattr(resource, "owner", None)


def add_run(cloud: Cloud, name: str) -> None:
    """Everything that a run makes; a neighbour's things are made the same way."""
    project = cloud.add("projects", name).id
    user = cloud.add("users", name)
    cloud.add("keypairs", name, user_id=user.id)
    cloud.add("flavors", name)
    cloud.add("servers", name, project_id=project)
    cloud.add("images", name, owner=project)
    cloud.add("networks", name, project_id=project, is_router_external=False)
    cloud.add("networks", f"{name}-external", project_id="admin", is_router_external=True)
    router = cloud.add("routers", name, project_id=project)
    cloud.add("ports", f"{name}-interface", project_id=project, device_id=router.id,
              device_owner="network:router_interface")  # fmt: skip
    cloud.add("ips", name, project_id=project)
    cloud.add("forwardings", name, project_id=project)
    cloud.add("security_groups", "default", project_id=project)
    cloud.add("security_groups", name, project_id=project)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_a_finished_run_leaves_nothing(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")
    removed = verify_run.sweep(cloud)
    assert cloud.left() == []
    assert f"server {PREFIX}1" in removed
    assert f"project {PREFIX}1" == removed[-1]


def test_leftovers_of_several_killed_runs_are_removed(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")
    add_run(cloud, f"{PREFIX}2")
    cloud.resources["servers"].clear()
    verify_run.sweep(cloud)
    assert cloud.left() == []


def test_what_is_not_ours_stays(cloud: Cloud) -> None:
    add_run(cloud, "customer")
    before = cloud.left()
    assert verify_run.sweep(cloud) == []
    assert cloud.left() == before


def test_a_clean_cloud_is_left_alone(cloud: Cloud) -> None:
    assert verify_run.sweep(cloud) == []


def test_a_resource_that_stays_is_named_and_keeps_its_project(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")
    cloud.refuses = {f"{PREFIX}1-interface"}
    with pytest.raises(ProofError, match=f"router interface {PREFIX}1-interface: .*in use"):
        verify_run.sweep(cloud)
    # The next run finds it by its project; what could go has gone.
    assert f"projects {PREFIX}1" in cloud.left()
    assert f"images {PREFIX}1" not in cloud.left()
    cloud.refuses = set()
    verify_run.sweep(cloud)
    assert cloud.left() == []


def test_something_that_went_by_itself_is_no_failure(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")

    def gone(_: Any) -> None:
        cloud.resources["ips"].clear()
        raise exceptions.NotFoundException("no such floating IP")

    cloud.network.delete_ip = gone
    verify_run.sweep(cloud)
    assert cloud.left() == []


def test_what_others_know_of_a_project_goes_before_it(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")
    project = cloud.resources["projects"][0]

    def other(admin: Any, ident: str) -> list[str]:
        assert admin is cloud
        assert project in cloud.resources["projects"]
        return [f"meters of {ident}"]

    removed = verify_run.sweep(cloud, [other])
    assert removed.index(f"meters of {project.id}") < removed.index(f"project {PREFIX}1")


def test_what_others_cannot_remove_keeps_the_project(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")

    def other(admin: Any, ident: str) -> list[str]:
        raise exceptions.HttpException("no meters today")

    with pytest.raises(ProofError, match="no meters today"):
        verify_run.sweep(cloud, [other])
    assert f"projects {PREFIX}1" in cloud.left()


def test_what_would_make_things_again_forgets_before_they_are_removed(cloud: Cloud) -> None:
    add_run(cloud, f"{PREFIX}1")

    def forget(_: Any, project: str) -> list[str]:
        assert [one for one in cloud.resources["servers"] if one.project_id == project]
        return ["stack left"]

    removed = verify_run.sweep(cloud, first=[forget])
    assert removed[0] == "stack left"
    assert cloud.left() == []


@pytest.mark.parametrize("stubborn", [False, True])
def test_what_something_still_used_is_asked_for_again_in_the_end(
    cloud: Cloud, stubborn: bool
) -> None:
    add_run(cloud, f"{PREFIX}1")
    asked = []

    def forget(_: Any, project: str) -> list[str]:
        asked.append(bool(cloud.resources["servers"]))
        if stubborn or cloud.resources["servers"]:
            raise exceptions.SDKException("the stack's volume is in use")
        return ["stack a"]

    if stubborn:
        with pytest.raises(ProofError, match="the stack's volume is in use"):
            verify_run.sweep(cloud, first=[forget])
    else:
        assert "stack a" in verify_run.sweep(cloud, first=[forget])
    assert asked == [True, False]
    assert bool(cloud.resources["projects"]) is stubborn
