"""Placement as it stands on the controllers."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["ansible://controller"]


def own_url(host: Any, port: int) -> str:
    """Where the service itself listens; the load balancer has other addresses at the same port."""
    (line,) = [
        line
        for line in host.check_output(
            "ss --listening --tcp --numeric --processes --no-header"
        ).splitlines()
        if f":{port} " in line and "haproxy" not in line
    ]
    return f"http://{line.split()[3]}"


def test_the_api_runs_and_starts_at_boot(host: Any) -> None:
    service = host.service("placement-api")
    assert service.is_running
    assert service.is_enabled


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(host: Any) -> None:
    assert not own_url(host, 8778).startswith(("http://0.0.0.0", "http://*", "http://["))
    url = own_url(host, 8778) + "/resource_providers"
    asked = host.run("curl --silent --output /dev/null --write-out '%%{http_code}' %s", url)
    assert asked.stdout == "401"


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/placement/placement.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "placement", 0o640)


def test_the_schema_is_that_of_the_code(host: Any) -> None:
    status = "/var/lib/cairn/services/placement/current/venv/bin/placement-status"
    assert host.run(f"runuser -u placement -- {status} upgrade check").rc == 0
