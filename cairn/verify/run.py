"""An instance made as a user would make it, and everything removed again (openstacksdk).

Whatever verify.yml makes is named `cairn-verify-<run>` or belongs to a project of such a name: that
is how the leftovers of a run that was killed are found.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from keystoneauth1.exceptions import ClientException
from openstack import exceptions

from ..errors import CairnError
from ..site import proxies

PREFIX = "cairn-verify-"
MEMORY_MB = 128
DISK_GB = 1
# Has embedded flavors, user data and everything else that is asked for below.
COMPUTE_VERSION = "2.90"
PRIVATE_NETWORK = "10.254.254.0/24"
DELETE_SECONDS = 300
GOING = object()
"""What is being removed, and is to be waited for."""
# The SDK lets errors of its own session through as they are: no route, a refused connection.
ERRORS = (exceptions.SDKException, ClientException)


class ProofError(CairnError):
    """The cloud did not do what was asked; the text says what and what it answered."""


@dataclass
class Run:
    """What is known of a run, kept in a file between the playbook's tasks."""

    name: str
    password: str
    nonce: str
    request: str
    public_key: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)
    wanted: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    floating_ip: str = ""
    host: str = ""
    owner: str = ""

    def tell(self, name: str, text: str, when: float | None = None) -> None:
        """Note a fact and when it was true (default: now)."""
        self.facts[name] = {"name": name, "time": when or time.time(), "text": text}

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def new_run() -> Run:
    """A run with names and secrets of its own."""
    key = Ed25519PrivateKey.generate().public_key()
    public = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return Run(
        name=PREFIX + secrets.token_hex(4),
        password=secrets.token_urlsafe(24),
        nonce=secrets.token_hex(8),
        request=f"req-{uuid.uuid4()}",
        public_key=public,
    )


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into ProofError that says what was being done."""
    try:
        yield
    except exceptions.HttpException as error:
        details = error.details or error.message
        raise ProofError(f"{doing}: HTTP {error.status_code}: {details}") from error
    except ERRORS as error:
        raise ProofError(f"{doing}: {error}") from error


def admin_cloud(config: Path, name: str) -> Any:
    """A connection for the cloud `name` of a clouds.yaml."""
    with explained(f"reading cloud {name} of {config}"):
        region = openstack.config.OpenStackConfig(
            config_files=[str(config)], load_envvars=False
        ).get_one(name)
        # The caller's environment may name a proxy, which leads outside.
        host = urlsplit(region.config["auth"]["auth_url"]).hostname or ""
        os.environ.update(proxies.exempt(os.environ, [host]))
        return openstack.connection.Connection(config=region)


def user_cloud(admin: Any, run: Run, **session: Any) -> Any:
    """A connection as the run's own user; `session` are attributes for its keystone session."""
    auth = {
        "auth_url": admin.config.config["auth"]["auth_url"],
        "username": run.name,
        "password": run.password,
        "project_name": run.name,
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    cloud = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth=auth,
        region_name=admin.config.config.get("region_name"),
        interface=admin.config.config.get("interface", "public"),
        cacert=admin.config.config.get("cacert"),
        compute_default_microversion=COMPUTE_VERSION,
    )
    for name, value in session.items():
        setattr(cloud.session, name, value)
    return cloud


def wait(what: str, seconds: float, ask: Callable[[], Any], interval: float = 0.5) -> Any:
    """Ask until the answer is true and return it; ProofError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := ask():
            return answer
        if time.monotonic() > deadline:
            raise ProofError(f"{what}: not within {seconds:.0f} s")
        time.sleep(interval)


def external_network(admin: Any, run: Run, wanted: dict[str, Any]) -> Any:
    """The network that floating IPs come from: the one on the physical network, or a new one.

    A physical network carries one flat network only, so one that is there is used; others may be in
    VLANs beside it. `wanted` has physical_network, cidr, gateway, allocation (first-last) and keep:
    the name of a network that is to stay, or none.
    """
    flat = ("flat", wanted["physical_network"])
    for network in admin.network.networks(is_router_external=True):
        if (network.provider_network_type, network.provider_physical_network) == flat:
            return network
    name = wanted.get("keep") or f"{run.name}-external"
    network = admin.network.create_network(
        name=name,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network=wanted["physical_network"],
    )
    first, _, last = str(wanted["allocation"]).partition("-")
    admin.network.create_subnet(
        name=name,
        network_id=network.id,
        ip_version=4,
        cidr=wanted["cidr"],
        gateway_ip=wanted["gateway"],
        enable_dhcp=False,
        allocation_pools=[{"start": first.strip(), "end": last.strip()}],
    )
    return network


def make_user(admin: Any, run: Run) -> None:
    """A project, a user who is a plain member of it, and a flavor only for it."""
    project = admin.identity.create_project(name=run.name, domain_id="default")
    run.ids["project"] = project.id
    user = admin.identity.create_user(
        name=run.name, password=run.password, domain_id="default", default_project_id=project.id
    )
    run.ids["user"] = user.id
    member = admin.identity.find_role("member", ignore_missing=False)
    admin.identity.assign_project_role_to_user(project, user, member)
    flavor = admin.compute.create_flavor(
        name=run.name, ram=MEMORY_MB, vcpus=1, disk=DISK_GB, is_public=False
    )
    run.ids["flavor"] = flavor.id
    admin.compute.flavor_add_tenant_access(flavor, project.id)


def prepare(admin: Any, run: Run, image: Path, external: dict[str, Any]) -> str:
    """Make what an instance needs, first as administrator, then as the user; tells it in words."""
    with explained("making the user and the external network"):
        make_user(admin, run)
        outside = external_network(admin, run, external)
    user = user_cloud(admin, run)
    with explained("making the user's key, image and network"):
        user.compute.create_keypair(name=run.name, public_key=run.public_key)
        uploaded = user.image.create_image(
            run.name,
            filename=str(image),
            disk_format="raw",
            container_format="bare",
            visibility="private",
            wait=True,
            validate_checksum=True,
        )
        run.ids["image"] = uploaded.id
        network = user.network.create_network(name=run.name)
        run.ids["network"] = network.id
        subnet = user.network.create_subnet(
            name=run.name, network_id=network.id, ip_version=4, cidr=PRIVATE_NETWORK
        )
        router = user.network.create_router(
            name=run.name, external_gateway_info={"network_id": outside.id}
        )
        user.network.add_interface_to_router(router, subnet=subnet.id)
        group = user.network.create_security_group(name=run.name)
        run.ids["security_group"] = group.id
        for protocol, port in (("icmp", None), ("tcp", 80)):
            user.network.create_security_group_rule(
                security_group_id=group.id,
                direction="ingress",
                ethertype="IPv4",
                protocol=protocol,
                port_range_min=port,
                port_range_max=port,
            )
        floating = user.network.create_ip(floating_network_id=outside.id)
        run.ids["floating_ip"] = floating.id
        run.floating_ip = floating.floating_ip_address
    return f"{run.name}: project, user, image, network, router, floating IP {run.floating_ip}"


def create(admin: Any, run: Run) -> None:
    """Ask for the instance with a token of its own, under the run's request id (steps 1 to 6).

    The very first use of the token is the request for the instance, so that its check in keystone
    belongs to this request.
    """
    run.times["began"] = time.time()
    cloud = user_cloud(admin, run, additional_headers={"X-OpenStack-Request-ID": run.request})
    with explained("asking keystone for a token"):
        access = cloud.session.auth.get_access(cloud.session)
    run.services = served(access.service_catalog.catalog)
    if not run.services:
        raise ProofError("keystone's answer has a token but an empty catalog")
    run.tell(
        "token",
        f"a token for user {access.user_id}, project {access.project_id}, "
        f"roles {', '.join(access.role_names)}; a catalog of {len(run.services)} services",
    )
    script = f"#!/bin/sh\necho {run.nonce}\n"
    wanted = {
        "name": run.name,
        "imageRef": run.ids["image"],
        "flavorRef": run.ids["flavor"],
        "key_name": run.name,
        "networks": [{"uuid": run.ids["network"]}],
        "security_groups": [{"name": run.ids["security_group"]}],
        "user_data": base64.b64encode(script.encode()).decode(),
    }
    if "volume" in run.ids:
        wanted["block_device_mapping_v2"] = mapping(run)
    run.times["asked"] = time.time()
    with explained("asking nova-api for the instance"):
        answer = cloud.session.post(
            "/servers",
            json={"server": wanted},
            endpoint_filter={"service_type": "compute", "interface": "public"},
            microversion=COMPUTE_VERSION,
        )
        exceptions.raise_from_response(answer)
    run.times["accepted"] = time.time()
    run.ids["server"] = answer.json()["server"]["id"]
    run.ids["request"] = answer.headers["x-openstack-request-id"]
    run.tell("accepted", f"HTTP {answer.status_code}, instance {run.ids['server']}")


def served(catalog: Sequence[Mapping[str, Any]]) -> list[str]:
    """Types of a catalog that users reach: a service without endpoints stands in it, too."""
    return sorted(
        entry["type"]
        for entry in catalog
        if any(endpoint["interface"] == "public" for endpoint in entry["endpoints"])
    )


def missing(run: Run) -> list[str]:
    """What the catalog, once it is known, lacks of what the site should have; in sentences."""
    return [
        f"the catalog has no public endpoint of {kind}, though the site has {role}: run site.yml "
        "again without the first controller's /var/lib/cairn/records/catalog"
        for kind, role in run.wanted.items()
        if run.services and kind not in run.services
    ]


def mapping(run: Run) -> list[dict[str, Any]]:
    """The instance's disks: the image on its host's own disk, and the run's volume beside it."""
    root = {"uuid": run.ids["image"], "source_type": "image", "destination_type": "local"}
    volume = {"uuid": run.ids["volume"], "source_type": "volume", "destination_type": "volume"}
    return [
        root | {"boot_index": 0, "delete_on_termination": True},
        volume | {"boot_index": None, "delete_on_termination": False},
    ]


def boot(admin: Any, run: Run, seconds: float) -> str:
    """Follow the instance until it is ACTIVE with its floating IP; tells it in words."""
    create(admin, run)
    user = user_cloud(admin, run)
    attached = False

    def active() -> bool:
        nonlocal attached
        server = user.compute.get_server(run.ids["server"])
        if "record" not in run.facts:
            run.tell("record", f"status {server.status}, created at {server.created_at}")
        if not attached:
            attached = attach_floating_ip(user, run)
        if server.status == "ERROR":
            fault = (server.fault or {}).get("message", "no fault given")
            raise ProofError(f"the instance went to ERROR: {fault}")
        return bool(server.status == "ACTIVE" and attached)

    try:
        with explained("waiting for the instance"):
            wait(f"instance {run.ids['server']} ACTIVE", seconds, active)
            run.times["active"] = time.time()
    finally:
        with explained("asking the APIs about the instance"):
            observe(admin, run)
    taken = run.times["active"] - run.times["began"]
    return f"instance {run.ids['server']} is ACTIVE on {run.host} after {taken:.1f} s"


def attach_floating_ip(user: Any, run: Run) -> bool:
    """Give the instance its floating IP as soon as it has a port; whether it has it now."""
    port = next(iter(user.network.ports(device_id=run.ids["server"])), None)
    if port is None:
        return False
    run.ids["port"] = port.id
    user.network.update_ip(run.ids["floating_ip"], port_id=port.id)
    return True


def observe(admin: Any, run: Run) -> None:
    """Note what the APIs know of the creation, however far it came."""
    server = admin.compute.get_server(run.ids["server"])
    run.host = server.compute_host or ""
    if run.host:
        run.ids["host"] = run.host
    if server.project_id == run.ids["project"] and server.user_id == run.ids["user"]:
        run.tell(
            "owner",
            f"the instance is of user {server.user_id}, project {server.project_id}",
            run.times["accepted"],
        )
    flavor = server.flavor
    run.tell("flavor", f"{flavor.vcpus} processor, {flavor.ram} MB, {flavor.disk} GB disk")
    observe_actions(admin, run)
    observe_allocation(admin, run)
    if "port" in run.ids:
        port = admin.network.get_port(run.ids["port"])
        if port.status == "ACTIVE" and port.binding_host_id == run.host:
            addresses = ", ".join(one["ip_address"] for one in port.fixed_ips)
            run.tell(
                "port",
                f"port {port.id} with {addresses} is ACTIVE on {run.host}",
            )


def seconds_of(text: str) -> float:
    """Nova's times (UTC, without zone) as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def observe_actions(admin: Any, run: Run) -> None:
    """Note nova's own record of the request: the action and the build event of the host."""
    request = run.ids["request"]
    for action in admin.compute.server_actions(run.ids["server"]):
        if action.request_id != request:
            continue
        began = seconds_of(action.start_time)
        run.tell("action", f"action {action.action} of {request} began", began)
        full = admin.compute.get_server_action(request, run.ids["server"])
        for event in full.events or ():
            if event.event == "compute__do_build_and_run_instance":
                run.tell(
                    "build_event",
                    f"event {event.event} of {request} began on {event.host}",
                    seconds_of(event.start_time),
                )


def observe_allocation(admin: Any, run: Run) -> None:
    """Note what placement has allocated to the instance, and where."""
    answer = admin.placement.get(f"/allocations/{run.ids['server']}")
    exceptions.raise_from_response(answer)
    for provider, allocation in answer.json()["allocations"].items():
        name = admin.placement.get_resource_provider(provider).name
        resources = ", ".join(f"{k} {v}" for k, v in sorted(allocation["resources"].items()))
        run.tell("allocation", f"{resources} on {name}")


def names_begin(found: Iterator[Any]) -> list[Any]:
    """Those of the found resources that a run has made."""
    return [one for one in found if (one.name or "").startswith(PREFIX)]


def sweep(
    admin: Any,
    others: Sequence[Callable[[Any, str], list[str]]] = (),
    first: Sequence[Callable[[Any, str], list[str]]] = (),
) -> list[str]:
    """Remove everything that any run has made; returns what was removed, in words.

    `others` remove what they know of a project, given by its id, and tell it in the same way;
    `first` are those who would make again what was removed before them. What they could not remove
    at first, because something still used it, they are asked for again in the end. Goes on after a
    resource that cannot be removed, so that as little as possible stays; raises ProofError with all
    that failed at the end.
    """
    removed: list[str] = []
    failed: list[str] = []

    def remove(kind: str, resource: Any, delete: Callable[..., Any], *args: Any, **kw: Any) -> bool:
        name = getattr(resource, "name", None) or resource.id
        try:
            ended = delete(*args, **kw)
        except exceptions.NotFoundException:
            return False
        except ERRORS as error:
            failed.append(f"{kind} {name}: {error}")
            return False
        if ended is not GOING:
            removed.append(f"{kind} {name}")
        return True

    def forget(project: Any, those: Sequence[Callable[[Any, str], list[str]]]) -> list[str]:
        problems = []
        for one in those:
            try:
                removed.extend(one(admin, project.id))
            except ERRORS as error:
                problems.append(f"project {project.name}: {error}")
        return problems

    projects = names_begin(admin.identity.projects())
    for project in projects:
        again = first if forget(project, first) else ()
        sweep_project(admin, project, remove)
        failed += forget(project, others)
        failed += forget(project, again)
    for user in names_begin(admin.identity.users()):
        for key in admin.compute.keypairs(user_id=user.id):
            remove("key", key, admin.compute.delete_keypair, key.name, user_id=user.id)
        remove("user", user, admin.identity.delete_user, user)
    for flavor in names_begin(admin.compute.flavors(is_public="None")):
        remove("flavor", flavor, admin.compute.delete_flavor, flavor)
    for network in names_begin(admin.network.networks(is_router_external=True)):
        remove("network", network, admin.network.delete_network, network)
    # A project is how its resources are found: it goes only when they have gone.
    for project in [] if failed else projects:
        remove("project", project, admin.identity.delete_project, project)
    if failed:
        raise ProofError(
            "left over, and to be removed by hand if it stays:\n  " + "\n  ".join(failed)
        )
    return removed


def sweep_project(admin: Any, project: Any, remove: Callable[..., bool]) -> None:
    """Remove what belongs to a run's project, what depends on other things first."""
    compute, network = admin.compute, admin.network

    def start_deletion(server: Any) -> Any:
        compute.delete_server(server, force=True)
        return GOING

    def withdraw(address: Any) -> None:
        for forwarding in network.port_forwardings(address):
            network.delete_port_forwarding(forwarding, address)
        network.delete_ip(address)

    found = compute.servers(details=False, all_projects=True, project_id=project.id)
    servers = [one for one in list(found) if remove("server", one, start_deletion, one)]
    for address in network.ips(project_id=project.id):
        remove("floating IP", address, withdraw, address)
    for router in network.routers(project_id=project.id):
        for port in network.ports(device_id=router.id):
            if port.device_owner == "network:router_interface":
                remove(
                    "router interface", port, network.remove_interface_from_router,
                    router, port=port.id,
                )  # fmt: skip
        remove("router", router, network.delete_router, router)
    for image in admin.image.images(owner=project.id):
        remove("image", image, admin.image.delete_image, image)
    # All servers go at the same time as what does not depend on them.
    for server in servers:
        remove("server", server, compute.wait_for_delete, server, wait=DELETE_SECONDS)
    for port in network.ports(project_id=project.id):
        if not port.device_owner.startswith("network:"):
            remove("port", port, network.delete_port, port)
    for one in network.networks(project_id=project.id):
        remove("network", one, network.delete_network, one)
    for group in network.security_groups(project_id=project.id):
        remove("security group", group, network.delete_security_group, group)
