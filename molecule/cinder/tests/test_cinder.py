"""Cinder on controllers and storage hosts."""

from __future__ import annotations

import time
from typing import Any

import pytest

testinfra_hosts = ["ansible://controller", "ansible://storage"]
CONTROLLER = ("cinder-api", "cinder-scheduler")
VENV = "/var/lib/cairn/services/cinder/current/venv/bin"
CONFIGFS = "/sys/kernel/config/target"
# Loads the kernel modules for exports, as cinder does before its first volume; exports nothing.
EXPORT = f"""
import os
from rtslib_fb import FabricModule, RTSRoot
RTSRoot()
FabricModule("iscsi").discovery_enable_auth
probe = "{CONFIGFS}/core/iblock_9999"
os.mkdir(probe)
os.rmdir(probe)
"""
MANAGE = f"runuser -u cinder -- {VENV}/cinder-manage"


@pytest.fixture
def backends(site: Any) -> list[str]:
    """Back ends of the site; the first is the default."""
    found: list[str] = site.setting("cinder_backends", ["lvm"])
    return found


@pytest.fixture
def exporting(on: Any, backends: list[str]) -> None:
    """Skip the test if the site exports no volumes over iSCSI."""
    on("storage")
    if "lvm" not in backends:
        pytest.skip("volumes are on no disk of this host")


def test_its_units_run_and_start_at_boot(runs: Any, site: Any, backends: list[str]) -> None:
    targets = ("cinder-targets",) if "lvm" in backends else ()
    backup = ("cinder-backup",) if site.has("swift") else ()
    runs(controller=CONTROLLER, storage=("cinder-volume", *targets, *backup))


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    on: Any, own_url: Any, status: Any
) -> None:
    on("controller")
    assert status(own_url(8776, "/v3/volumes")) == "401"


def test_every_service_reports_to_the_others(
    host: Any, on: Any, site: Any, backends: list[str]
) -> None:
    on("controller")
    storage = host.backend.ansible_runner.get_hosts("storage")
    wanted = {("cinder-volume", f"{name}@{backend}") for name in storage for backend in backends}
    wanted |= {("cinder-backup", name) for name in storage if site.has("swift")}
    wanted.add(("cinder-scheduler", host.backend.get_hostname()))
    # The unit is active long before its service reports for the first time.
    end = time.monotonic() + 180
    while True:
        lines = host.check_output(f"{MANAGE} service list").splitlines()[1:]
        rows = [row for row in map(str.split, lines) if len(row) > 4]
        up = {(row[0], row[1]) for row in rows if row[4] == ":-)"}
        if wanted <= up and len(up) == len(rows):
            return
        assert time.monotonic() < end, rows
        time.sleep(3)


def test_a_back_end_is_chosen_by_the_volume_type_of_its_name(
    host: Any, on: Any, backends: list[str]
) -> None:
    on("controller")
    types = host.run(
        "mariadb --batch --skip-column-names --execute "
        "'SELECT t.name, s.value FROM cinder.volume_types t JOIN cinder.volume_type_extra_specs s "
        "ON s.volume_type_id = t.id WHERE t.deleted = 0 AND s.deleted = 0'"
    ).stdout
    assert {f"{name}\t{name}" for name in backends} <= set(types.splitlines())


@pytest.mark.usefixtures("exporting")
def test_the_volume_group_has_its_thin_pool(host: Any, site: Any) -> None:
    group = site.setting("cinder_volume_group", "cinder-volumes")
    pools = host.check_output("lvs --noheadings --options lv_name,segtype %s", group)
    assert f"{group}-pool thin-pool" in " ".join(pools.split())


@pytest.mark.usefixtures("exporting")
def test_the_kernel_can_export_a_volume(host: Any) -> None:
    done = host.run("%s -c %s", f"{VENV}/python", EXPORT)
    assert done.rc == 0, done.stderr
    assert host.file(f"{CONFIGFS}/iscsi").is_directory


@pytest.mark.usefixtures("exporting")
def test_volumes_are_exported_on_the_storage_plane_only(
    host: Any, site: Any, listeners: Any
) -> None:
    # A portal exists per target; without volumes nothing listens.
    found = host.run(f"find {CONFIGFS}/iscsi -path '*/np/*' -name '*:3260'").stdout
    portals = {path.rpartition("/")[2] for path in found.splitlines()}
    assert portals <= {f"{site.address('storage')}:3260"}
    assert listeners(3260) == {portal.removesuffix(":3260") for portal in portals}


def test_the_service_may_start_its_helpers_as_root_and_nothing_else(host: Any, on: Any) -> None:
    on("storage")
    ask = "runuser -u cinder -- sudo --non-interactive"
    assert (
        host.run(f"{ask} cinder-rootwrap /etc/cinder/rootwrap.conf cinder-rtstool verify").rc == 0
    )
    assert host.run(f"{ask} cinder-rootwrap /etc/cinder/rootwrap.conf id").rc != 0
    assert host.run(f"{ask} id").rc != 0


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/cinder/cinder.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "cinder", 0o640)
