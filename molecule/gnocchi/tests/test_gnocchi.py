"""Gnocchi as it stands on the controllers."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]

PYTHON = "/var/lib/cairn/services/gnocchi/current/venv/bin/python"
# Asks through the load balancer, with gnocchi's own account.
ASK = """
from keystoneauth1 import loading
from oslo_config import cfg
conf = cfg.ConfigOpts()
conf(["--config-file", "/etc/gnocchi/gnocchi.conf"], project="gnocchi")
loading.register_session_conf_options(conf, "keystone_authtoken")
loading.register_auth_conf_options(conf, "keystone_authtoken")
session = loading.load_session_from_conf_options(
    conf,
    "keystone_authtoken",
    auth=loading.load_auth_from_conf_options(conf, "keystone_authtoken"),
)
where = {"service_type": "metric", "interface": "internal"}
for policy in session.get("/v1/archive_policy", endpoint_filter=where).json():
    print(policy["name"])
"""


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("gnocchi-api", "gnocchi-metricd")


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    own_url: Any, status: Any
) -> None:
    assert status(own_url(8041, "/healthcheck")) == "200"
    assert status(own_url(8041, "/v1/metric")) == "401"


def test_the_database_answers_through_the_load_balancer(host: Any) -> None:
    asked = host.run("runuser --user=gnocchi -- %s -c %s", PYTHON, ASK)
    assert {"low", "medium", "high", "bool"} <= set(asked.stdout.split()), asked.stderr


def test_metricd_has_its_workers(host: Any) -> None:
    (pid,) = host.check_output("systemctl show --property=MainPID --value gnocchi-metricd").split()
    children = host.check_output("ps --no-headers -o args --ppid %s", pid)
    for worker in ("processing worker", "reporting worker", "janitor worker"):
        assert worker in children


def test_measures_in_files_belong_to_gnocchi_alone(host: Any) -> None:
    path = host.file("/etc/gnocchi/gnocchi.conf").content_string
    if "driver = file" not in path:
        pytest.skip("measures are not in files here")
    folder = host.file("/var/lib/gnocchi/storage")
    assert (folder.user, folder.group, folder.mode) == ("gnocchi", "gnocchi", 0o750)


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/gnocchi/gnocchi.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "gnocchi", 0o640)
