"""An instance created as a user would, and the removal of everything created (openstacksdk).

Everything that verify.yml creates is named `cairn-verify-<run>` or belongs to a project of such a
name, so that leftovers of an interrupted run can be found.
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
from keystoneauth1.exceptions import CatalogException, ClientException
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
"""The deletion has started and must be waited for."""
# The SDK does not wrap errors of its session, such as a refused connection.
ERRORS = (exceptions.SDKException, ClientException)


class ProofError(CairnError):
    """A request to the cloud failed; the text has the request and the answer."""


@dataclass
class Run:
    """The state of a run, saved in a file between the playbook's tasks."""

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
        """Add a fact with its time (default: now)."""
        self.facts[name] = {"name": name, "time": when or time.time(), "text": text}

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def new_run() -> Run:
    """A run with new names and secrets."""
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
    """Turn the SDK's errors into ProofErrors that name the action."""
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
        # Ignore proxies of the environment: the cloud itself is reached directly.
        host = urlsplit(region.config["auth"]["auth_url"]).hostname or ""
        os.environ.update(proxies.exempt(os.environ, [host]))
        return openstack.connection.Connection(config=region)


def user_cloud(admin: Any, run: Run, **session: Any) -> Any:
    """A connection as the run's user; `session` are attributes of its keystone session."""
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
    """Call `ask` until its result is true, and return it; ProofError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := ask():
            return answer
        if time.monotonic() > deadline:
            raise ProofError(f"{what}: not within {seconds:.0f} s")
        time.sleep(interval)


def endpoint(cloud: Any, service_type: str) -> str | None:
    """The public endpoint of a service in the catalog; None where the cloud does not have it."""
    try:
        found = cloud.session.get_endpoint(service_type=service_type, interface="public")
    except CatalogException:
        return None
    return str(found) if found else None


def external_network(admin: Any, run: Run, wanted: dict[str, Any]) -> Any:
    """The external network for floating IPs: the one on the physical network, or a new one.

    A physical network can have only one flat network, so an existing one is used; others may be in
    VLANs. `wanted` has physical_network, cidr, gateway, allocation (first-last), mtu and keep: the
    name of a network to keep, or none. Without an MTU neutron takes the service plane's, which the
    routers outside may not have.
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
        **({"mtu": int(wanted["mtu"])} if wanted.get("mtu") else {}),
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
    """Create what an instance needs, as administrator and as the user; returns a sentence."""
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
    """Request the instance with a new token, under the run's request id (steps 1 to 6).

    The request for the instance is the first use of the token, so that the token's check in
    keystone belongs to it.
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
    """Types in a catalog with public endpoints; a catalog also lists services without endpoints."""
    return sorted(
        entry["type"]
        for entry in catalog
        if any(endpoint["interface"] == "public" for endpoint in entry["endpoints"])
    )


def missing(run: Run) -> list[str]:
    """The site's services that the catalog, once it is known, lacks; in sentences."""
    return [
        f"the catalog has no public endpoint of {kind}, though the site has {role}: run site.yml "
        "again without the first controller's /var/lib/cairn/records/catalog"
        for kind, role in run.wanted.items()
        if run.services and kind not in run.services
    ]


def mapping(run: Run) -> list[dict[str, Any]]:
    """The instance's disks: the image on its host's disk, and the run's volume."""
    root = {"uuid": run.ids["image"], "source_type": "image", "destination_type": "local"}
    volume = {"uuid": run.ids["volume"], "source_type": "volume", "destination_type": "volume"}
    return [
        root | {"boot_index": 0, "delete_on_termination": True},
        volume | {"boot_index": None, "delete_on_termination": False},
    ]


def boot(admin: Any, run: Run, seconds: float) -> str:
    """Wait until the instance is ACTIVE with its floating IP; returns a sentence."""
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
    """Attach the floating IP as soon as the instance has a port; returns whether it is attached."""
    port = next(iter(user.network.ports(device_id=run.ids["server"])), None)
    if port is None:
        return False
    run.ids["port"] = port.id
    user.network.update_ip(run.ids["floating_ip"], port_id=port.id)
    return True


def observe(admin: Any, run: Run) -> None:
    """Add facts from the APIs on the creation, even if it failed."""
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
    """Add facts from nova's record of the request: the action and the host's build event."""
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
    """Add placement's allocation for the instance."""
    answer = admin.placement.get(f"/allocations/{run.ids['server']}")
    exceptions.raise_from_response(answer)
    for provider, allocation in answer.json()["allocations"].items():
        name = admin.placement.get_resource_provider(provider).name
        resources = ", ".join(f"{k} {v}" for k, v in sorted(allocation["resources"].items()))
        run.tell("allocation", f"{resources} on {name}")


def names_begin(found: Iterator[Any]) -> list[Any]:
    """The resources among `found` that a run has created."""
    return [one for one in found if (one.name or "").startswith(PREFIX)]


def sweep(
    admin: Any,
    others: Sequence[Callable[[Any, str], list[str]]] = (),
    first: Sequence[Callable[[Any, str], list[str]]] = (),
) -> list[str]:
    """Remove everything that any run has created; returns what was removed, in words.

    `others` remove a project's resources of their service, given the project's id, and return the
    same. `first` run before all others, as they would recreate resources that are removed earlier.
    What is still in use at first is removed at the end. Continues after failures, so that as little
    as possible remains, and finally raises ProofError with all failures.
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
        raise ProofError("not removed; run again, or remove it manually:\n  " + "\n  ".join(failed))
    return removed


def sweep_project(admin: Any, project: Any, remove: Callable[..., bool]) -> None:
    """Remove a run's project's resources, in the order of their dependencies."""
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
