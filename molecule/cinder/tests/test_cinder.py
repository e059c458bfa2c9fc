"""Cinder as it stands on controllers and storage hosts."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["ansible://controller", "ansible://storage"]
CONTROLLER = ("cinder-api", "cinder-scheduler")
STORAGE = ("cinder-targets", "cinder-volume")
MANAGE = "runuser -u cinder -- /var/lib/cairn/services/cinder/current/venv/bin/cinder-manage"


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs(controller=CONTROLLER, storage=STORAGE)


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    on: Any, own_url: Any, status: Any
) -> None:
    on("controller")
    assert status(own_url(8776, "/v3/volumes")) == "401"


def test_every_service_reports_to_the_others(host: Any, on: Any) -> None:
    on("controller")
    rows = [row.split() for row in host.run(f"{MANAGE} service list").stdout.splitlines()[1:]]
    states = {(row[0], row[1]): row[4] for row in rows if len(row) > 4}
    for storage in host.backend.ansible_runner.get_hosts("storage"):
        assert states.get(("cinder-volume", f"{storage}@lvm")) == ":-)", rows
    assert ("cinder-scheduler", host.backend.get_hostname()) in states
    assert [key for key, state in states.items() if state != ":-)"] == []


def test_a_back_end_is_chosen_by_the_volume_type_of_its_name(host: Any, on: Any) -> None:
    on("controller")
    types = host.run(
        "mariadb --batch --skip-column-names --execute "
        "'SELECT t.name, s.value FROM cinder.volume_types t JOIN cinder.volume_type_extra_specs s "
        "ON s.volume_type_id = t.id WHERE t.deleted = 0 AND s.deleted = 0'"
    ).stdout
    assert "lvm\tlvm" in types.splitlines()


def test_the_volume_group_has_its_thin_pool(host: Any, on: Any) -> None:
    on("storage")
    pools = host.check_output("lvs --noheadings --options lv_name,segtype cinder-volumes")
    assert "cinder-volumes-pool thin-pool" in " ".join(pools.split())


def test_volumes_are_exported_on_the_storage_plane_only(on: Any, site: Any, listeners: Any) -> None:
    on("storage")
    assert listeners(3260) <= {site.address("storage")}


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
