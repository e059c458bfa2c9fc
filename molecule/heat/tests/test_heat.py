"""Heat on the controllers."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("heat-api", "heat-api-cfn", "heat-engine", "heat-purge.timer")


@pytest.mark.parametrize(("port", "path"), [(8004, "/v1/none/stacks"), (8000, "/v1/?Action=x")])
def test_an_api_answers_on_one_address_only_and_refuses_the_anonymous(
    own_url: Any, status: Any, port: int, path: str
) -> None:
    assert status(own_url(port, path)) in {"400", "401", "403"}


def test_the_engine_takes_requests_from_the_queue(fetched: Any) -> None:
    fetched("/heat", "engine")


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/heat/heat.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "heat", 0o640)


def test_deleted_stacks_are_purged_once_a_day(host: Any) -> None:
    asked = "systemctl show --property=NextElapseUSecRealtime --value heat-purge.timer"
    assert host.check_output(asked)


# The types that the engine has loaded; the API's list hides more.
PLUGINS = """
from heat.common import config
from heat.engine import resources
from oslo_config import cfg
cfg.CONF(["--config-file", "/etc/heat/heat.conf"], project="heat")
env = resources.global_env()
print(env.get_class("OS::Neutron::MeteringLabel").required_service_extension)
print(env.get_class("OS::Glance::WebImage").is_service_available(None)[0])
"""


def test_heat_has_read_its_plugins(host: Any, site: Any) -> None:
    said = host.run(
        "runuser --user=heat -- /var/lib/cairn/services/heat/current/venv/bin/python -c %s", PLUGINS
    )
    assert said.rc == 0, said.stderr[-2000:]
    web = "web-download" in site.setting("glance_import_methods", [])
    assert said.stdout.split() == ["metering", str(web)]
