"""The dashboard in a browser, used by clicking. Pictures: .cache/tests/browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from .conftest import SECONDS, delete_server
from .dashboard import Dashboard, row

pytestmark = pytest.mark.lab


@pytest.fixture(scope="package")
def visitor(browser: Dashboard, customer: Any) -> Dashboard:
    """The customer, logged in."""
    browser.log_in(customer.name, customer.password)
    browser.see("#sidebar-accordion")
    return browser


def test_a_wrong_password_is_refused(browser: Dashboard, customer: Any) -> None:
    browser.log_in(customer.name, "wrong")
    browser.read("form .alert-danger", "Invalid credentials")
    browser.picture("wrong-password")
    browser.open("/project/")
    browser.see("#loginBtn")


def test_an_administrator_sees_the_cloud(browser: Dashboard, admin: Any) -> None:
    auth = admin.config.config["auth"]
    browser.log_in(auth["username"], auth["password"])
    browser.open("/admin/hypervisors/")
    names = {one.name for one in admin.compute.hypervisors()}
    assert names
    for name in names:
        browser.read("table#hypervisors", name)
    browser.picture("administrator")


def test_the_cookies_are_for_tls_only(visitor: Dashboard) -> None:
    cookies = {cookie["name"]: cookie for cookie in visitor.driver.get_cookies()}
    assert cookies["sessionid"]["secure"] and cookies["sessionid"]["httpOnly"]
    assert cookies["csrftoken"]["secure"]


def test_a_customer_sees_nothing_of_an_administrators(visitor: Dashboard) -> None:
    visitor.open("/admin/hypervisors/")
    visitor.read("table#hypervisors", "No items to display")
    assert "Admin" not in visitor.see("#sidebar-accordion").text
    visitor.picture("not-for-customers")


@pytest.fixture(scope="package")
def uploaded(visitor: Dashboard, cloud: Any, customer: Any, guest: Path) -> Iterator[str]:
    """An image that was uploaded in the browser."""
    name = f"{customer.name}-uploaded"
    visitor.upload_image(name, guest)
    visitor.wait(lambda _: is_active(cloud.image.find_image(name)), 180)
    yield name
    cloud.image.delete_image(cloud.image.find_image(name), ignore_missing=False)


def is_active(found: Any) -> bool:
    """Whether it exists and is ready."""
    return found is not None and found.status.lower() == "active"


def test_an_image_is_uploaded_whole(cloud: Any, guest: Path, uploaded: str) -> None:
    assert cloud.image.find_image(uploaded).size == guest.stat().st_size


@pytest.fixture(scope="package")
def clicked(
    visitor: Dashboard, cloud: Any, customer: Any, uploaded: str, private: Any, booting: Any
) -> Iterator[Any]:
    """An instance launched in the browser, running; the customer's other one starts meanwhile."""
    name = f"{customer.name}-clicked"
    visitor.launch(name, image=uploaded, flavor=customer.name, network=private.name)
    visitor.wait(lambda _: cloud.compute.find_server(name))
    server = cloud.compute.find_server(name)
    yield cloud.compute.wait_for_server(server, wait=SECONDS)
    delete_server(cloud, server)


def test_an_instance_that_was_launched_by_clicking_is_seen_running(
    visitor: Dashboard, clicked: Any
) -> None:
    visitor.open("/project/instances/")
    visitor.read(row(clicked.name, "instances"), "Active")
    visitor.picture("instances")


def test_its_console_shows_what_the_guest_writes(visitor: Dashboard, clicked: Any) -> None:
    visitor.open(f"/project/instances/{clicked.id}/?tab=instance_details__console")
    frame = visitor.see("iframe#console_embed")
    assert str(frame.get_attribute("src")).startswith(f"{visitor.url}:6080/")
    visitor.driver.switch_to.frame(frame)
    try:
        visitor.read("#status", "Connected to")
        visitor.wait(lambda driver: driver.execute_script(COLOURS) > 1)
    finally:
        visitor.driver.switch_to.default_content()
    visitor.picture("console")


# How many colours noVNC's picture has: a screen without text has one.
COLOURS = """
const canvas = document.querySelector('canvas');
if (!canvas || !canvas.width) return 0;
const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
return new Set(new Uint32Array(seen.buffer)).size;
"""


def test_volumes_are_seen(visitor: Dashboard, volume: Any) -> None:
    visitor.open("/project/volumes/")
    visitor.read(row(volume.name, "volumes"), "Available")
    visitor.picture("volumes")


def test_stacks_are_seen(visitor: Dashboard, stack: Any) -> None:
    visitor.open("/project/stacks/")
    visitor.read(row(stack.name, "stacks"), "Create Complete")
    visitor.picture("stacks")


def test_containers_are_seen(visitor: Dashboard, container: Any) -> None:
    visitor.open("/project/containers/")
    visitor.read(".hz-container-title", container.name)
    visitor.picture("containers")


@pytest.mark.parametrize(
    ("kind", "panel"),
    [("block-storage", "volumes"), ("orchestration", "stacks"), ("object-store", "containers")],
)
def test_there_are_panels_of_the_services_that_there_are_and_no_others(
    visitor: Dashboard, kinds: set[str], kind: str, panel: str
) -> None:
    visitor.open("/project/instances/")
    visitor.see("#sidebar-accordion")
    links = visitor.driver.find_elements(By.CSS_SELECTOR, f'a[href="/project/{panel}/"]')
    assert bool(links) == (kind in kinds)
