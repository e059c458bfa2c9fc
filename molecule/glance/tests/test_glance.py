"""Glance on the controllers."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["ansible://controller"]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("glance-api")


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    own_url: Any, status: Any
) -> None:
    assert status(own_url(9292, "/v2/images")) == "401"


def test_images_belong_to_glance(host: Any) -> None:
    folder = host.file("/var/lib/glance/images")
    assert (folder.user, folder.group, folder.mode) == ("glance", "glance", 0o750)


def test_images_are_on_the_disk_when_glance_says_so(host: Any) -> None:
    flags = host.check_output("lsattr -d /var/lib/glance/images").split()[0]
    assert "S" in flags


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/glance/glance-api.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "glance", 0o640)


def test_the_converter_of_imported_images_is_there(host: Any) -> None:
    assert host.run("qemu-img --version").rc == 0


def test_imports_are_staged_in_folders_of_glances_own(host: Any) -> None:
    for name in ("os_glance_staging_store", "os_glance_tasks_store"):
        folder = host.file(f"/var/lib/glance/{name}")
        assert (folder.user, folder.group, folder.mode) == ("glance", "glance", 0o750)
    said = host.run(
        "journalctl --quiet --grep='Imports will fail' "
        "_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value glance-api)"
    )
    assert said.stdout == ""
