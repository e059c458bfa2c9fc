"""Sections that services share, sudoers and the INI renderer."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cairn.service import ini, oslo

SITE: dict[str, Any] = {
    "region": "RegionOne",
    "names": {"internal": "internal.example", "public": "cloud.example"},
    "groups": {"controller": ["c1", "c2"]},
    "hosts": {
        "c1": {"addresses": {"management": "192.0.2.1"}},
        "c2": {"addresses": {"management": "192.0.2.2"}},
    },
}
SECRETS = {
    "database_nova": "d@b/%",
    "queue_nova": "q:u?",
    "service_nova": "s$x",
    "service_neutron": "n",
    "memcache_secret_key": "k",
}


def derive(site: dict[str, Any] = SITE, **words: Any) -> ini.Sections:
    return oslo.derive(words, role="nova", site=site, secrets=SECRETS)


def test_a_database_is_reached_over_verified_tls() -> None:
    sections = derive(database={"api_database": "nova_api", "database": "nova"})
    assert sections["api_database"]["connection"] == (
        "mysql+pymysql://nova:d%40b%2F%25@internal.example/nova_api"
        "?charset=utf8mb4&ssl_ca=/etc/ssl/certs/cairn-ca.pem"
    )
    assert "/nova?" in sections["database"]["connection"]


def test_messages_go_to_every_broker_over_verified_tls() -> None:
    sections = derive(messaging=True)
    assert sections["DEFAULT"]["transport_url"] == (
        "rabbit://nova:q%3Au%3F@192.0.2.1:5671,nova:q%3Au%3F@192.0.2.2:5671//nova"
    )
    rabbit = sections["oslo_messaging_rabbit"]
    assert rabbit["ssl"] is True
    assert rabbit["ssl_ca_file"] == oslo.CA_FILE


def test_fanout_streams_come_with_the_prefetch_limit_that_they_demand() -> None:
    rabbit = derive(messaging=True)["oslo_messaging_rabbit"]
    assert rabbit["rabbit_stream_fanout"]
    assert rabbit["rabbit_qos_prefetch_count"] > 0


def test_a_process_keeps_no_more_threads_than_it_is_given() -> None:
    assert derive(messaging=True)["DEFAULT"]["executor_thread_pool_size"] == oslo.RPC_THREADS
    assert derive(messaging={"threads": 48})["DEFAULT"]["executor_thread_pool_size"] == 48


@pytest.mark.parametrize(
    ("asked", "services", "driver"),
    [
        (True, [], "noop"),
        (True, ["ceilometer"], "messagingv2"),
        ({"notifications": False}, ["ceilometer"], "noop"),
        ({"notifications": True}, [], "messagingv2"),
    ],
)
def test_notifications_are_sent_where_somebody_takes_them(
    asked: Any, services: list[str], driver: str
) -> None:
    sections = derive(SITE | {"services": services}, messaging=asked)
    assert sections["oslo_messaging_notifications"]["driver"] == driver


def test_notifications_go_to_ceilometers_virtual_host_by_the_services_own_account() -> None:
    sections = derive(SITE | {"services": ["ceilometer"]}, messaging=True)
    assert sections["oslo_messaging_notifications"]["transport_url"] == (
        "rabbit://nova:q%3Au%3F@192.0.2.1:5671,nova:q%3Au%3F@192.0.2.2:5671//ceilometer"
    )
    assert sections["DEFAULT"]["transport_url"].endswith("//nova")


def test_a_lost_broker_does_not_hold_up_what_is_notified_about() -> None:
    sections = derive(SITE | {"services": ["ceilometer"]}, messaging=True)
    assert sections["oslo_messaging_notifications"]["retry"] >= 0


@pytest.mark.parametrize(
    ("verb", "name", "allowed"),
    [
        ("configure", "nova", True),
        ("configure", "notifications.info", True),
        ("write", "notifications.error", True),
        ("read", "nova", True),
        ("read", "notifications.info", False),
        ("write", "glance", False),
        ("write", "metering.sample", False),
        ("configure", "nova.secret", False),
        ("configure", "notifications.info.copy", False),
    ],
)
def test_a_service_can_send_notifications_and_read_none(
    verb: str, name: str, allowed: bool
) -> None:
    assert derive(messaging=True)["DEFAULT"]["control_exchange"] == "nova"
    grant = oslo.notification_grant("nova")
    assert grant["vhost"] == "/ceilometer"
    # RabbitMQ, too, searches the pattern in the name.
    assert bool(re.search(grant[verb], name)) is allowed


def test_tokens_are_validated_inside_and_users_sent_outside() -> None:
    options = derive(authtoken={"service_type": "compute"})["keystone_authtoken"]
    assert options["auth_url"] == "https://internal.example:5000"
    assert options["www_authenticate_uri"] == "https://cloud.example:5000"
    assert options["memcached_servers"] == ["192.0.2.1:11211", "192.0.2.2:11211"]
    assert options["service_type"] == "compute"
    # Less than the load balancer waits for the service that asks.
    assert options["http_connect_timeout"] < 90


def test_no_two_services_share_the_key_of_cached_tokens() -> None:
    secrets = {**SECRETS, "service_glance": "g"}
    keys = {
        oslo.section_authtoken({}, role=role, site=SITE, secrets=secrets)["memcache_secret_key"]
        for role in ("nova", "glance")
    }
    assert len(keys) == 2
    assert "k" not in keys


def test_a_dollar_in_a_password_is_not_taken_for_a_reference() -> None:
    assert derive(authtoken=True)["keystone_authtoken"]["password"] == "s$$x"


def test_a_client_has_credentials_and_asks_the_internal_endpoint() -> None:
    options = derive(clients={"neutron": "neutron"})["neutron"]
    assert (options["username"], options["password"]) == ("neutron", "n")
    assert (options["region_name"], options["valid_interfaces"]) == ("RegionOne", "internal")
    assert options["cafile"] == oslo.CA_FILE


def test_a_client_that_passes_the_users_token_on_has_no_credentials() -> None:
    options = derive(clients={"glance": {"user": None}})["glance"]
    assert "password" not in options
    assert options["cafile"] == oslo.CA_FILE


@pytest.mark.parametrize(
    ("adapter", "present"), [("endpoint_type", {"endpoint_type", "region_name"}), (None, set())]
)
def test_a_client_names_its_endpoint_the_way_its_section_can(
    adapter: str | None, present: set[str]
) -> None:
    options = derive(clients={"nova": {"user": "nova", "adapter": adapter}})["nova"]
    assert {"endpoint_type", "valid_interfaces", "region_name"} & set(options) == present


def test_an_unknown_adapter_is_refused() -> None:
    with pytest.raises(ini.OsloError, match="adapter magic"):
        derive(clients={"nova": {"user": "nova", "adapter": "magic"}})


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ini.OsloError, match="unknown key in oslo: databse; known are data"):
        derive(databse={})


def test_a_missing_secret_says_how_to_make_it() -> None:
    with pytest.raises(ini.OsloError, match=r"database_nova is missing; add missing secrets"):
        oslo.derive({"database": {"database": "nova"}}, role="nova", site=SITE, secrets={})


def test_logs_go_to_the_journal_whatever_else_is_asked_for() -> None:
    assert derive() == {"DEFAULT": {"use_stderr": True}}


def test_locks_and_cache_have_their_place() -> None:
    sections = derive(concurrency=True, cache=True)
    assert sections["oslo_concurrency"] == {"lock_path": "/var/lib/nova/lock"}
    assert sections["cache"]["memcache_servers"] == ["192.0.2.1:11211", "192.0.2.2:11211"]


def test_an_ipv6_address_stands_in_brackets() -> None:
    site = {**SITE, "names": {"internal": "2001:db8::1", "public": "2001:db8::2"}}
    assert oslo.service_url(site, 5000, "/v3") == "https://[2001:db8::1]:5000/v3"


# -- sudoers --------------------------------------------------------------------------------------

HELPER = (
    "--privsep_context vif_plug_ovs.privsep.vif_plug --privsep_sock_path /tmp/tmp_x1/privsep.sock"
)


def allowed(arguments: str) -> bool:
    rule = oslo.sudoers("nova", "/v").splitlines()[-1]
    pattern = rule.split("/bin/privsep-helper ", 1)[1]
    return re.fullmatch(pattern, arguments) is not None


@pytest.mark.parametrize(
    ("arguments", "may"),
    [
        (f"--config-file /etc/nova/nova.conf {HELPER}", True),
        (f"--config-file /etc/nova/nova.conf --config-file /etc/nova/more.conf {HELPER}", True),
        (f"--config-file /tmp/mine.conf {HELPER}", False),
        (f"--config-file /etc/nova/../../tmp/mine.conf {HELPER}", False),
        (HELPER, False),
        (f"--config-file /etc/nova/nova.conf {HELPER} --config-file /tmp/mine.conf", False),
    ],
)
def test_only_the_helper_with_the_services_own_configuration_may_run_as_root(
    arguments: str, may: bool
) -> None:
    assert allowed(arguments) is may


def test_sudo_accepts_the_rules(tmp_path: Path) -> None:
    place = tmp_path / "sudoers"
    place.write_text(oslo.sudoers("nova", "/var/lib/cairn/services/nova/current/venv"))
    done = subprocess.run(
        ["visudo", "--check", "--file", str(place)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- INI ------------------------------------------------------------------------------------------


def test_a_file_is_written_in_the_order_given_with_the_defaults_first() -> None:
    text = ini.render_ini(
        {"b": {"y": 1, "x": 2.5}, "DEFAULT": {"debug": False}},
        header="Made by Cairn.\nDo not edit.",
    )
    assert text == (
        "# Made by Cairn.\n# Do not edit.\n\n[DEFAULT]\ndebug = false\n\n[b]\ny = 1\nx = 2.5\n"
    )


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (True, ["o = true"]),
        (["a", 1, False], ["o = a,1,false"]),
        ([], ["o ="]),
        ({"key": "v", "other": 2}, ["o = key:v,other:2"]),
        ({"multi": ["a", "b"]}, ["o = a", "o = b"]),
        ("", ["o ="]),
    ],
)
def test_values_are_written_as_oslo_reads_them(value: Any, lines: list[str]) -> None:
    assert ini.render_ini({"s": {"o": value}}).splitlines()[1:] == lines


def test_an_override_wins_adds_and_takes_away() -> None:
    text = ini.render_ini(
        {"a": {"x": 1, "y": 2}, "b": {"z": 3}},
        {"a": {"x": 9}, "b": {"z": None}, "c": {"new": True}},
    )
    assert text == "[a]\nx = 9\ny = 2\n\n[c]\nnew = true\n"


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        ({"s": {"o": "one\ntwo"}}, r"\[s\] o: a value with several lines"),
        ({"s": {"o": [["nested"]]}}, r"\[s\] o: a list or mapping within another"),
        ({"s]": {"o": 1}}, "no name of a section"),
        ({"s": "o = 1"}, r"\[s\] must be a mapping of options"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(sections: Any, error: str) -> None:
    with pytest.raises(ini.OsloError, match=error):
        ini.render_ini(sections)
