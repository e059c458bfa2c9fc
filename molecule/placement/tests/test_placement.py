"""Placement on the controllers."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["ansible://controller"]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("placement-api")


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    own_url: Any, status: Any
) -> None:
    assert status(own_url(8778, "/resource_providers")) == "401"


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/placement/placement.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "placement", 0o640)


def test_the_schema_is_that_of_the_code(host: Any) -> None:
    status = "/var/lib/cairn/services/placement/current/venv/bin/placement-status"
    assert host.run(f"runuser -u placement -- {status} upgrade check").rc == 0
