"""A customer of the lab's cloud: a user of one project with a clouds.yaml, and nothing else.

The inventory says which services the cloud has; tests of other services are skipped. Everything
that a customer creates is created once, and must be gone at the end.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack
import pytest
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cairn.service import registry
from cairn.verify import objects
from cairn.verify import run as verify_run
from cairn.verify import stack as verify_stack
from cairn.verify import volume as verify_volume
from guest.__main__ import build
from lab import network

from .dashboard import Dashboard

INVENTORY = Path(__file__).resolve().parents[3] / "inventories" / "lab"
OPERATOR = INVENTORY / ".operator"
PICTURES = Path(__file__).resolve().parents[3] / ".cache" / "tests" / "browser"
# What a customer asks for takes a minute, or four on a busy machine (an instance on a volume).
SECONDS = 600
STACK = {
    "heat_template_version": "2021-04-16",
    "parameters": {"cidr": {"type": "string"}},
    "resources": {
        "network": {"type": "OS::Neutron::Net"},
        "subnet": {
            "type": "OS::Neutron::Subnet",
            "properties": {
                "network": {"get_resource": "network"},
                "cidr": {"get_param": "cidr"},
            },
        },
    },
    "outputs": {"network": {"value": {"get_resource": "network"}}},
}


@dataclass(frozen=True)
class Customer:
    """An account from the operator: name (of user and project), password, clouds.yaml."""

    name: str
    password: str
    clouds: Path
    flavor: str
    outside: str

    def connect(self, **changes: Any) -> Any:
        """A connection by the customer's clouds.yaml; `changes` stand for another file."""
        found = openstack.config.OpenStackConfig(
            config_files=[str(self.clouds)], load_envvars=False
        ).get_one("cloud", **changes)
        return openstack.connection.Connection(config=found)


@pytest.fixture(scope="package")
def guest() -> Path:
    """The disk of the test guest; built first, since the lab's network reaches no packages."""
    return build()


@pytest.fixture(scope="package", autouse=True)
def lab_network(guest: Path) -> Iterator[None]:
    """Enter the lab's network, where its customers are, with all child processes."""
    lab = os.environ.get("CAIRN_LAB", "lab")
    assert network.exists(lab), "there is no lab; `make lab` makes one"
    here, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(network.path(lab), os.O_RDONLY)
    os.setns(there, os.CLONE_NEWNET)
    yield
    os.setns(here, os.CLONE_NEWNET)
    os.close(here)
    os.close(there)


@pytest.fixture(scope="package")
def admin(lab_network: None) -> Any:
    """The operator, who gives customers their accounts."""
    return verify_run.admin_cloud(OPERATOR / "clouds.yaml", "cairn")


def external(admin: Any, run: verify_run.Run) -> Any:
    """The network of the floating IPs, as the lab's inventory has it."""
    planes = yaml.safe_load((INVENTORY / "group_vars" / "all" / "planes.yml").read_text())
    return verify_run.external_network(
        admin,
        run,
        {"physical_network": "physnet1", **planes["cairn_provider_networks"]["external"]},
    )


@pytest.fixture(scope="package")
def customer(admin: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    """A new customer, who must leave nothing behind."""
    with pytest.MonkeyPatch.context() as patch:
        # verify.yml may run at the same time: its resources are not counted.
        patch.setattr(verify_run, "PREFIX", "cairn-customer-")
        yield from new_customer(admin, tmp_path_factory.mktemp("customer") / "clouds.yaml")


def sweep(admin: Any) -> list[str]:
    """Remove what customers of these tests have left; return it in words."""
    others = (verify_volume.forget, objects.forget)
    return verify_run.sweep(admin, others, first=(verify_stack.forget,))


def new_customer(admin: Any, clouds: Path) -> Iterator[Customer]:
    """Make a customer with a clouds.yaml there; take the account back afterwards."""
    sweep(admin)
    run = verify_run.new_run()
    verify_run.make_user(admin, run)
    outside = external(admin, run)
    auth = {
        "auth_url": admin.config.config["auth"]["auth_url"],
        "username": run.name,
        "password": run.password,
        "project_name": run.name,
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    region = {
        "auth": auth,
        "region_name": admin.config.config["region_name"],
        "cacert": str(OPERATOR / "ca.pem"),
    }
    clouds.write_text(yaml.safe_dump({"clouds": {"cloud": region}}))
    yield Customer(run.name, run.password, clouds, run.ids["flavor"], outside.id)
    account = {f"{kind} {run.name}" for kind in ("user", "flavor", "project")}
    given = {"security group default", f"network {run.name}-external"}
    assert set(sweep(admin)) - account - given == set(), "the customer left something behind"


@pytest.fixture(scope="package")
def cloud(customer: Customer) -> Any:
    """The cloud as the customer sees it."""
    return customer.connect()


@pytest.fixture(scope="package")
def kinds(lab_site: dict[str, Any]) -> set[str]:
    """Types of the services that the lab should have, whatever its catalog says."""
    return set(registry.catalog_types(registry.of_site(registry.descriptions(), lab_site)))


@pytest.fixture(scope="package")
def offered(cloud: Any, kinds: set[str]) -> Callable[[str], None]:
    """Give a function that skips a test when the site has no service of a type."""
    catalog = cloud.session.auth.get_access(cloud.session).service_catalog.catalog

    def need(kind: str) -> None:
        if kind not in kinds:
            pytest.skip(f"this cloud has no {kind}")
        assert kind in verify_run.served(catalog), f"the catalog has no endpoint of {kind}"

    return need


@pytest.fixture(scope="package")
def image(cloud: Any, customer: Customer, guest: Path) -> Iterator[Any]:
    """An image of the customer's own."""
    made = cloud.image.create_image(
        customer.name, filename=str(guest), disk_format="raw", container_format="bare", wait=True
    )
    yield made
    cloud.image.delete_image(made, ignore_missing=False)


@pytest.fixture(scope="package")
def key(cloud: Any, customer: Customer) -> Iterator[Any]:
    """A key pair of which the cloud gets the public half."""
    public = Ed25519PrivateKey.generate().public_key()
    text = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    made = cloud.compute.create_keypair(name=customer.name, public_key=text)
    yield made
    cloud.compute.delete_keypair(made, ignore_missing=False)


@pytest.fixture(scope="package")
def private(cloud: Any, customer: Customer) -> Iterator[Any]:
    """A network with a router to the outside, and rules that let pings and HTTP in."""
    made = cloud.network.create_network(name=customer.name)
    subnet = cloud.network.create_subnet(
        name=customer.name, network_id=made.id, ip_version=4, cidr="10.20.0.0/24"
    )
    router = cloud.network.create_router(
        name=customer.name, external_gateway_info={"network_id": customer.outside}
    )
    cloud.network.add_interface_to_router(router, subnet_id=subnet.id)
    group = cloud.network.find_security_group("default", ignore_missing=False)
    rules = [
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", ethertype="IPv4", **what
        )
        for what in (
            {"protocol": "icmp"},
            {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
        )
    ]
    yield made
    for rule in rules:
        cloud.network.delete_security_group_rule(rule, ignore_missing=False)
    cloud.network.remove_interface_from_router(router, subnet_id=subnet.id)
    cloud.network.delete_router(router, ignore_missing=False)
    cloud.network.delete_network(made, ignore_missing=False)


class Guest:
    """A running instance of the test guest, which answers at its floating IP."""

    def __init__(self, server: Any, address: str) -> None:
        self.server = server
        self.address = address

    def get(
        self, path: str, until: Callable[[requests.Response], Any], seconds: float = SECONDS
    ) -> Any:
        """Ask the guest until `until` accepts the answer; return what it returns."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := until(requests.get(f"http://{self.address}/{path}", timeout=10)):
                    return found
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, f"no answer from {self.address}/{path}"
            time.sleep(1)


@pytest.fixture(scope="package")
def booting(cloud: Any, customer: Customer, image: Any, key: Any, private: Any) -> Iterator[Any]:
    """An instance that was requested: it starts while other fixtures are set up."""
    server = cloud.compute.create_server(
        name=customer.name,
        image_id=image.id,
        flavor_id=customer.flavor,
        key_name=key.name,
        networks=[{"uuid": private.id}],
    )
    yield server
    delete_server(cloud, server)


@pytest.fixture(scope="package")
def instance(cloud: Any, customer: Customer, booting: Any) -> Iterator[Guest]:
    """An instance with a floating IP."""
    server = cloud.compute.wait_for_server(booting, wait=SECONDS)
    (port,) = cloud.network.ports(device_id=server.id)
    address = cloud.network.create_ip(floating_network_id=customer.outside, port_id=port.id)
    yield Guest(server, address.floating_ip_address)
    cloud.network.delete_ip(address, ignore_missing=False)


def delete_server(cloud: Any, server: Any) -> None:
    """Delete an instance and wait: its network can be deleted only after it."""
    cloud.compute.delete_server(server, ignore_missing=False)
    cloud.compute.wait_for_delete(server, wait=SECONDS)


@pytest.fixture(scope="package")
def volume(cloud: Any, customer: Customer, offered: Callable[[str], None]) -> Iterator[Any]:
    """A volume of 1 GiB."""
    offered("block-storage")
    made = cloud.block_storage.create_volume(name=customer.name, size=1)
    yield cloud.block_storage.wait_for_status(made, "available", ["error"], wait=SECONDS)
    cloud.block_storage.delete_volume(made, ignore_missing=False)
    cloud.block_storage.wait_for_delete(made, wait=SECONDS)


@pytest.fixture(scope="package")
def attached(cloud: Any, instance: Guest, volume: Any) -> Iterator[Any]:
    """The volume attached to the instance; detached afterwards."""
    made = cloud.compute.create_volume_attachment(instance.server, volume_id=volume.id)
    yield cloud.block_storage.wait_for_status(volume, "in-use", ["error"], wait=SECONDS)
    cloud.compute.delete_volume_attachment(instance.server, made, ignore_missing=False)
    cloud.block_storage.wait_for_status(volume, "available", ["error"], wait=SECONDS)


@pytest.fixture(scope="package")
def container(cloud: Any, customer: Customer, offered: Callable[[str], None]) -> Iterator[Any]:
    """A container with one object `greeting`."""
    offered("object-store")
    made = cloud.object_store.create_container(customer.name)
    cloud.object_store.upload_object(made.name, "greeting", data=b"hello from a customer")
    yield made
    cloud.object_store.delete_object("greeting", container=made.name, ignore_missing=False)
    cloud.object_store.delete_container(made, ignore_missing=False)


@pytest.fixture(scope="package")
def stack(cloud: Any, customer: Customer, offered: Callable[[str], None]) -> Iterator[Any]:
    """A stack of a network and a subnet."""
    offered("orchestration")
    made = cloud.orchestration.create_stack(
        name=customer.name, template=STACK, parameters={"cidr": "10.30.0.0/24"}
    )
    yield cloud.orchestration.wait_for_status(
        made, "CREATE_COMPLETE", ["CREATE_FAILED"], wait=SECONDS
    )
    cloud.orchestration.delete_stack(made, ignore_missing=False)
    cloud.orchestration.wait_for_delete(made, wait=SECONDS)


@pytest.fixture(scope="package")
def browser(admin: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Chromium at the dashboard; it trusts the site's authority only."""
    for command in ("chromium", "chromedriver", "certutil"):
        assert shutil.which(command), f"{command} is missing: tools/setup --browser"
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    host = admin.config.config["auth"]["auth_url"].split("/")[2].rpartition(":")[0]
    folder = tmp_path_factory.mktemp("browser")
    found = Dashboard(f"https://{host}", folder, OPERATOR / "ca.pem", PICTURES)
    yield found
    found.quit()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Keep a screenshot when a test in the browser fails."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if report.failed and browser:
        browser.picture(f"failed-{item.name}")
    return report
