"""Swift on controllers and storage hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

testinfra_hosts = ["ansible://controller", "ansible://storage"]
CONTROLLER = ("swift-proxy-server",)
STORAGE = (
    *("rsync", "swift-account-server", "swift-container-server", "swift-object-server"),
    *("swift-account-replicator", "swift-container-replicator", "swift-object-replicator"),
    *("swift-account-auditor", "swift-container-auditor", "swift-object-auditor"),
    *("swift-container-updater", "swift-object-updater", "swift-account-reaper"),
    "swift-object-expirer",
)
PYTHON = "/var/lib/cairn/services/swift/current/venv/bin/python"
OBJECT = """
account = session.get_endpoint(service_type="object-store", interface="internal")
container = account + "/cairn-molecule"
session.put(container)
try:
    session.put(container + "/greeting", data=b"hello from molecule")
    print(session.get(container + "/greeting").text)
finally:
    session.delete(container + "/greeting", raise_exc=False)
    # Refused until the container's listing reflects the deletion.
    session.delete(container, raise_exc=False)
"""
RINGS = """
import json
from swift.common.ring import Ring
folder = "/var/lib/swift/rings"
rings = {name: Ring(folder, ring_name=name) for name in ("account", "container", "object")}
print(json.dumps({
    name: [ring.version, ring.replica_count,
           sorted((dev["meta"], dev["device"]) for dev in ring.devs if dev)]
    for name, ring in rings.items()
}))
"""


@pytest.fixture
def disks(host: Any) -> list[str]:
    """Return the names of the host's swift disks."""
    return [disk["name"] for disk in host.ansible.get_variables().get("swift_disks", [])]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs(controller=CONTROLLER, storage=STORAGE)


def test_the_proxy_serves_on_one_address_only_and_refuses_the_anonymous(
    on: Any, own_url: Any, status: Any
) -> None:
    on("controller")
    assert status(own_url(8080, "/healthcheck")) == "200"
    assert status(own_url(8080, "/v1/AUTH_test")) == "401"


def test_the_proxy_speaks_s3(host: Any, on: Any, own_url: Any) -> None:
    on("controller")
    answer = host.check_output("curl --silent --user-agent test %s", own_url(8080, "/?versions"))
    assert "<Error>" in host.check_output(
        "curl --silent --header 'Authorization: AWS key:signature' "
        "--header 'Date: Thu, 01 Jan 2026 00:00:00 GMT' %s",
        own_url(8080, "/bucket"),
    )
    assert "<Error>" not in answer


def test_an_object_comes_back(on: Any, as_service: Any) -> None:
    on("controller")
    said = as_service("swift", "/etc/swift/authtoken.conf", OBJECT)
    assert said.strip() == "hello from molecule"


@pytest.mark.parametrize("port", [6200, 6201, 6202, 873])
def test_objects_are_served_on_the_storage_plane_only(
    port: int, on: Any, site: Any, listeners: Any
) -> None:
    on("storage")
    assert listeners(port) == {site.address("storage")}


def test_each_disk_is_mounted_by_its_label_and_belongs_to_swift(
    host: Any, on: Any, disks: list[str]
) -> None:
    on("storage")
    assert disks
    for disk in disks:
        mount = host.mount_point(f"/srv/node/{disk}")
        assert mount.exists
        assert mount.filesystem == "xfs"
        assert "noatime" in mount.options
        label = host.check_output("findmnt --noheadings --output LABEL /srv/node/%s", disk)
        assert label == f"swift-{disk}"
        assert host.file(f"/srv/node/{disk}").user == "swift"
        assert host.service(f"srv-node-{disk}.mount").is_enabled


def test_a_disk_that_is_not_mounted_is_not_written_to(host: Any, on: Any) -> None:
    on("storage")
    assert host.file("/srv/node").user == "root"
    for server in ("account", "container", "object"):
        assert "mount_check = true" in host.file(f"/etc/swift/{server}-server.conf").content_string


def test_replicators_reach_the_disks_of_the_host(host: Any, on: Any, site: Any) -> None:
    on("storage")
    modules = host.check_output("rsync rsync://%s/", site.address("storage")).split()
    assert {"account", "container", "object"} <= set(modules)


def test_every_host_has_the_rings_with_every_disk(host: Any, site: Any) -> None:
    found = json.loads(host.check_output("%s -c %s", PYTHON, RINGS))
    runner = host.backend.ansible_runner
    wanted = sorted(
        [storage, disk["name"]]
        for storage in runner.get_hosts("storage")
        for disk in runner.get_variables(storage)["swift_disks"]
    )
    assert {name: devices for name, (_, _, devices) in found.items()} == dict.fromkeys(
        found, wanted
    )
    assert {replicas for _, replicas, _ in found.values()} == {site.setting("swift_replicas", 3)}


def test_builders_are_on_every_controller_and_closed_to_all_others(
    host: Any, groups: list[str]
) -> None:
    folder = host.file("/var/lib/cairn/rings")
    assert folder.exists == ("controller" in groups)
    if folder.exists:
        assert (folder.user, folder.mode) == ("root", 0o700)
        names = [name for name in folder.listdir() if name.endswith(".builder")]
        assert {"account.builder", "container.builder", "object.builder"} <= set(names)


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/swift/swift.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "swift", 0o640)
    assert "swift_hash_path_suffix" in conf.content_string


def test_the_proxy_has_what_browsers_use(host: Any, on: Any, own_url: Any) -> None:
    on("controller")
    info = json.loads(host.check_output("curl --silent --fail %s", own_url(8080, "/info")))
    assert {"formpost", "staticweb", "tempurl", "bulk_upload", "slo"} <= set(info)
