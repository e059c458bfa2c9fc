"""RabbitMQ, as seen by clients on the network and by root on the host."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]


@pytest.fixture(scope="module")
def definitions(host: Any) -> dict[str, Any]:
    """Return users, virtual hosts and permissions; read once, since rabbitmqctl starts slowly."""
    said = host.check_output("rabbitmqctl --quiet export_definitions -")
    return dict(json.loads(said[said.index("{") :]))


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("rabbitmq-server", "rabbitmq-queues-alive.timer")


def test_queues_that_work_are_left_alone(host: Any) -> None:
    node = f"-sname rabbit@{host.check_output('hostname')}"
    ask = f"runuser --user=rabbitmq -- erl_call {node} -a 'erlang whereis [ra_log_wal]'"
    assert host.check_output(ask).startswith("<rabbit@")
    before = host.service("rabbitmq-server").systemd_properties["MainPID"]
    assert host.run("systemctl start rabbitmq-queues-alive.service").rc == 0
    assert host.service("rabbitmq-server").systemd_properties["MainPID"] == before


def test_it_listens_with_tls_on_the_management_address_only(
    site: Any, listeners: Callable[[int], set[str]]
) -> None:
    assert listeners(5671) == {site.address("management")}
    assert listeners(5672) == set()
    assert listeners(15672) == set()


def test_its_cluster_ports_are_on_the_management_plane(
    site: Any, listeners: Callable[[int], set[str]]
) -> None:
    assert listeners(25672) == {site.address("management")}
    assert listeners(4369) == {site.address("management"), "127.0.0.1"}


def test_the_certificate_is_good_for_its_address(host: Any, site: Any) -> None:
    address = site.address("management")
    done = host.run(
        f"openssl s_client -connect {address}:5671 -verify_ip {address} -verify_return_error "
        "-CAfile /etc/ssl/certs/ca-certificates.crt </dev/null"
    )
    assert done.rc == 0, done.stderr


def test_there_is_no_guest_and_no_default_virtual_host(definitions: dict[str, Any]) -> None:
    assert "guest" not in {user["name"] for user in definitions["users"]}
    assert "/" not in {vhost["name"] for vhost in definitions["vhosts"]}


def test_nobody_administers_by_password(definitions: dict[str, Any]) -> None:
    assert [user["name"] for user in definitions["users"] if user["tags"]] == []


def test_each_user_reaches_its_own_virtual_host(definitions: dict[str, Any]) -> None:
    assert definitions["users"], "no service has asked for a queue yet"
    own = {p["user"] for p in definitions["permissions"] if p["vhost"] == f"/{p['user']}"}
    assert own == {user["name"] for user in definitions["users"]}


def test_elsewhere_a_user_may_send_notifications_and_read_nobodys(
    definitions: dict[str, Any],
) -> None:
    for one in definitions["permissions"]:
        if one["vhost"] != f"/{one['user']}":
            assert one["vhost"] == "/ceilometer"
            assert one["read"] == f"^{one['user']}$"
            allowed = rf"^({one['user']}|notifications\.[a-z]+)$"
            assert (one["configure"], one["write"]) == (allowed, allowed)


def test_new_queues_are_quorum_queues(definitions: dict[str, Any]) -> None:
    assert {vhost["default_queue_type"] for vhost in definitions["vhosts"]} == {"quorum"}


def test_the_cookie_is_closed(host: Any) -> None:
    cookie = host.file("/var/lib/rabbitmq/.erlang.cookie")
    assert (cookie.user, cookie.mode) == ("rabbitmq", 0o400)
