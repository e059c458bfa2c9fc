"""Glance as it stands on the controllers."""

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
    service = host.service("glance-api")
    assert service.is_running
    assert service.is_enabled


def test_the_api_listens_on_one_address_only(host: Any) -> None:
    listening = [s for s in host.socket.get_listening_sockets() if s.endswith(":9292")]
    assert listening
    assert not any(s.startswith(("tcp://0.0.0.0:", "tcp://:::")) for s in listening)


def test_images_belong_to_glance(host: Any) -> None:
    folder = host.file("/var/lib/glance/images")
    assert (folder.user, folder.group, folder.mode) == ("glance", "glance", 0o750)


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/glance/glance-api.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "glance", 0o640)


def test_the_converter_of_imported_images_is_there(host: Any) -> None:
    assert host.run("qemu-img --version").rc == 0


def test_an_anonymous_request_is_refused(host: Any) -> None:
    url = own_url(host, 9292) + "/v2/images"
    asked = host.run("curl --silent --output /dev/null --write-out '%%{http_code}' %s", url)
    assert asked.stdout == "401"
