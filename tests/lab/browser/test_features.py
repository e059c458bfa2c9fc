"""Features that customers know from other clouds: imports, names, ports, root volumes, forms."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from cairn.verify.run import wait

from .conftest import OPERATOR, SECONDS, delete_server

pytestmark = pytest.mark.lab

# heat offers them on every cloud unless its plugins hide them.
CANNOT_WORK = {
    *("OS::Glance::WebImage", "OS::Neutron::MeteringLabel", "OS::Neutron::MeteringRule"),
    *("OS::Neutron::NetworkGateway", "OS::Neutron::PortPair", "OS::Neutron::FlowClassifier"),
}


# -- images ---------------------------------------------------------------------------------------


def glance(cloud: Any, method: str, path: str, **how: Any) -> Any:
    """What glance's API answers."""
    where = {"service_type": "image"}
    return getattr(cloud.session, method)(f"/v2{path}", endpoint_filter=where, **how)


@pytest.fixture
def imported(cloud: Any, customer: Any, guest: Path) -> Iterator[str]:
    """An image that was staged and then imported, as `openstack image import` does; its id."""
    wanted = {
        "name": f"{customer.name}-imported",
        "disk_format": "raw",
        "container_format": "bare",
    }
    ident = glance(cloud, "post", "/images", json=wanted).json()["id"]
    octets = {"Content-Type": "application/octet-stream"}
    try:
        with guest.open("rb") as data:
            glance(cloud, "put", f"/images/{ident}/stage", data=data, headers=octets)
        method = {"method": {"name": "glance-direct"}}
        glance(cloud, "post", f"/images/{ident}/import", json=method)
        yield ident
    finally:
        glance(cloud, "delete", f"/images/{ident}")


def in_stores(cloud: Any, ident: str, least: int) -> dict[str, Any]:
    """Wait until an image is active in that many stores; return glance's description of it."""

    def there() -> Any:
        found = glance(cloud, "get", f"/images/{ident}").json()
        assert not found.get("os_glance_failed_import"), found
        kept = [name for name in found.get("stores", "").split(",") if name]
        return found if found["status"] == "active" and len(kept) >= least else None

    found: dict[str, Any] = wait(f"image {ident} in {least} stores", SECONDS, there, interval=2)
    return found


def test_an_image_is_imported_and_copied_to_the_other_store(
    cloud: Any, admin: Any, imported: str, guest: Path
) -> None:
    assert in_stores(cloud, imported, 1)["size"] == guest.stat().st_size
    stores = glance(cloud, "get", "/info/stores").json()["stores"]
    if len(stores) == 1:
        pytest.skip("this cloud has one store for images")
    # Copying between stores is the administrator's.
    copy = {"method": {"name": "copy-image"}, "all_stores": True}
    glance(admin, "post", f"/images/{imported}/import", json=copy)
    assert in_stores(cloud, imported, len(stores))["size"] == guest.stat().st_size


# -- networks -------------------------------------------------------------------------------------


def test_an_instance_is_known_by_its_name_in_its_network(
    cloud: Any, booting: Any, instance: Any
) -> None:
    (port,) = cloud.network.ports(device_id=instance.server.id)
    assert port.dns_name == instance.server.name
    (address,) = port.dns_assignment
    query = f"cgi-bin/lookup?name={address['fqdn'].rstrip('.')}&server=10.20.0.1"
    instance.get(query, lambda answer: address["ip_address"] in answer.text.split())


def test_one_floating_ip_leads_to_ports_of_several(
    cloud: Any, customer: Any, private: Any, image: Any
) -> None:
    server = cloud.compute.create_server(
        name=f"{customer.name}-behind",
        image_id=image.id,
        flavor_id=customer.flavor,
        networks=[{"uuid": private.id}],
    )
    address = cloud.network.create_ip(floating_network_id=customer.outside)
    try:
        cloud.compute.wait_for_server(server, wait=SECONDS)
        (port,) = cloud.network.ports(device_id=server.id)
        forwarding = cloud.network.create_port_forwarding(
            floatingip_id=address.id,
            internal_port_id=port.id,
            internal_ip_address=port.fixed_ips[0]["ip_address"],
            internal_port=80,
            external_port=8080,
            protocol="tcp",
        )
        url = f"http://{address.floating_ip_address}:8080/cgi-bin/status"

        def answers() -> Any:
            try:
                return requests.get(url, timeout=5).json()
            except (requests.RequestException, ValueError):
                return None

        status = wait(f"an answer of {url}", SECONDS, answers, interval=2)
        assert status["address"].startswith(port.fixed_ips[0]["ip_address"])
        cloud.network.delete_port_forwarding(forwarding, address)
    finally:
        cloud.network.delete_ip(address)
        delete_server(cloud, server)


# -- volumes --------------------------------------------------------------------------------------


@pytest.fixture
def rooted(
    cloud: Any, customer: Any, image: Any, private: Any, offered: Callable[[str], None]
) -> Iterator[Any]:
    """An instance whose root disk is a volume made of the image; both go together."""
    offered("block-storage")
    root = {
        "uuid": image.id,
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": 1,
        "boot_index": 0,
        "delete_on_termination": True,
    }
    server = cloud.compute.create_server(
        name=f"{customer.name}-rooted",
        flavor_id=customer.flavor,
        networks=[{"uuid": private.id}],
        block_device_mapping=[root],
    )
    yield server
    volumes = [
        cloud.block_storage.get_volume(one.volume_id)
        for one in cloud.compute.volume_attachments(server)
    ]
    delete_server(cloud, server)
    for volume in volumes:
        cloud.block_storage.wait_for_delete(volume, wait=SECONDS)


def test_an_instance_starts_from_a_volume(cloud: Any, rooted: Any) -> None:
    server = cloud.compute.wait_for_server(rooted, wait=SECONDS)
    (root,) = cloud.compute.volume_attachments(server)
    volume = cloud.block_storage.get_volume(root.volume_id)
    assert (volume.status, volume.size, volume.is_bootable) == ("in-use", 1, True)

    def ready() -> bool:
        output = cloud.compute.get_server_console_output(server)["output"]
        return "cairn-guest: " in output and " ready" in output

    # It has no other disk to start from.
    wait("the guest to say on its console that it is ready", SECONDS, ready, interval=2)


# -- stacks ---------------------------------------------------------------------------------------


def test_heat_offers_what_works_here_and_nothing_else(cloud: Any, offered: Any) -> None:
    offered("orchestration")
    answer = cloud.session.get("/resource_types", endpoint_filter={"service_type": "orchestration"})
    types = set(answer.json()["resource_types"])
    assert types & CANNOT_WORK == set()
    assert {"OS::Nova::Server", "OS::Neutron::FloatingIPPortForward"} <= types


# -- objects --------------------------------------------------------------------------------------


@pytest.fixture
def page(cloud: Any, customer: Any, container: Any) -> Iterator[str]:
    """The URL of a public container that is a web site."""
    del container  # its fixture says whether there is an object store
    url = f"{cloud.session.get_endpoint(service_type='object-store')}/{customer.name}-site"
    cloud.session.put(
        url,
        headers={
            "X-Container-Read": ".r:*,.rlistings",
            "X-Container-Meta-Web-Index": "index.html",
            "X-Container-Meta-Access-Control-Allow-Origin": "https://app.example.com",
        },
    )
    cloud.session.put(
        f"{url}/index.html",
        data=b"<h1>hello from a customer</h1>",
        headers={"Content-Type": "text/html"},
    )
    yield url
    for one in cloud.session.get(f"{url}?format=json").json():
        cloud.session.delete(f"{url}/{one['name']}")
    wait("an empty container", 60, lambda: not cloud.session.get(f"{url}?format=json").json())
    cloud.session.delete(url)


def anonymous(method: str, url: str, **how: Any) -> requests.Response:
    """What a browser without a token gets."""
    return requests.request(method, url, verify=str(OPERATOR / "ca.pem"), timeout=60, **how)


def test_a_container_is_a_web_site(page: str) -> None:
    answer = anonymous("GET", f"{page}/")
    assert (answer.status_code, answer.text) == (200, "<h1>hello from a customer</h1>")


def test_a_script_of_an_origin_that_the_customer_allows_may_read(page: str) -> None:
    for origin, status in (("https://app.example.com", 200), ("https://other.example.com", 401)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        assert anonymous("OPTIONS", f"{page}/index.html", headers=headers).status_code == status


def test_a_browser_uploads_by_a_signed_form(cloud: Any, customer: Any, page: str) -> None:
    account = page.rpartition("/")[0]
    key = customer.password[:16]
    cloud.session.post(account, headers={"X-Account-Meta-Temp-URL-Key": key})
    path, expires = f"{urlsplit(page).path}/", int(time.time()) + 600
    text = f"{path}\n\n1048576\n1\n{expires}"
    fields = {
        "max_file_size": "1048576",
        "max_file_count": "1",
        "expires": str(expires),
        "signature": hmac.new(key.encode(), text.encode(), "sha256").hexdigest(),
    }
    file = {"file1": ("upload.txt", b"sent by a form", "text/plain")}
    forged = {**fields, "signature": "0" * 64}
    assert anonymous("POST", f"{page}/", data=forged, files=file).status_code == 401
    # Proxies read an account's keys from their cache, which may be older than the key.
    wait(
        "the signed form to be taken",
        90,
        lambda: anonymous("POST", f"{page}/", data=fields, files=file).status_code == 201,
        interval=3,
    )
    assert anonymous("GET", f"{page}/upload.txt").text == "sent by a form"
