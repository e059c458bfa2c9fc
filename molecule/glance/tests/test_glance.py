"""Glance as it stands on the controllers."""

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
