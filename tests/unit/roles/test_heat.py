"""What heat's role puts on hosts, where it is easy to get wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cairn.service.model import Model
from cairn.site.secrets import GENERATORS

INTERNAL, PUBLIC = "internal.example", "cloud.example"
Ini = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture
def conf(ini: Ini) -> dict[str, dict[str, str]]:
    return ini("heat", "heat.conf", "controller1", services=["heat"])


def test_a_site_may_do_without_it(make_model: Callable[..., Model]) -> None:
    assert "heat" not in make_model("controller1").manifests()
    assert "heat" in make_model("controller1", services=["heat"]).manifests()


def test_instances_get_public_urls_and_heat_itself_calls_internal_ones(
    conf: dict[str, dict[str, str]],
) -> None:
    default = conf["DEFAULT"]
    for option in ("heat_metadata_server_url", "heat_waitcondition_server_url"):
        url = urlsplit(default[option])
        assert (url.scheme, url.hostname, url.port) == ("https", PUBLIC, 8000)
    assert conf["clients_heat"]["endpoint_type"] == "publicURL"
    assert default["server_keystone_endpoint_type"] == "public"
    assert conf["clients"]["endpoint_type"] == "internalURL"
    for own in (conf["clients_keystone"]["auth_uri"], conf["trustee"]["auth_url"]):
        assert urlsplit(own).hostname == INTERNAL


def test_a_trust_is_used_without_a_project_of_the_trustees_own(
    conf: dict[str, dict[str, str]],
) -> None:
    assert conf["trustee"]["username"] == "heat"
    assert not {"project_name", "project_domain_name"} & set(conf["trustee"])


def test_signed_signals_are_checked_at_a_url_to_which_heat_adds_the_version(
    conf: dict[str, dict[str, str]],
) -> None:
    assert conf["ec2authtoken"]["endpoint_override"] == f"https://{INTERNAL}:5000"
    assert conf["ec2authtoken"]["username"] == "heat"


def test_the_key_has_the_length_that_heat_demands(
    make_model: Callable[..., Model], conf: dict[str, dict[str, str]]
) -> None:
    kind = make_model("controller1").raw("heat")["secrets"]["heat_auth_encryption_key"]
    assert len(GENERATORS[kind]()) == 32
    assert conf["DEFAULT"]["auth_encryption_key"] == "heat_auth_encryption_key-value"


def test_what_the_configuration_names_is_declared_in_keystone(
    make_model: Callable[..., Model], conf: dict[str, dict[str, str]]
) -> None:
    catalog = make_model("controller1", services=["heat"]).catalog()
    (domain,) = catalog["domains"]
    default = conf["DEFAULT"]
    assert domain == {
        "name": default["stack_user_domain_name"],
        "admin": default["stack_domain_admin"],
        "password": default["stack_domain_admin_password"],
    }
    assert catalog["roles"] == ["heat_stack_user"]
    urls = {entry["type"]: entry["public"] for entry in catalog["services"]}
    assert urls["orchestration"] == f"https://{PUBLIC}:8004/v1/%(tenant_id)s"
    assert urls["cloudformation"] == f"https://{PUBLIC}:8000/v1"


def test_the_query_of_a_signed_url_stays_out_of_the_journal(content: Callable[..., str]) -> None:
    text = content("heat", "uwsgi-heat-api-cfn.ini", "controller1", services=["heat"])
    (line,) = [line for line in text.splitlines() if line.startswith("log-format")]
    assert "%(uri)" not in line
    assert "QUERY" not in line
    assert "%(var.PATH_INFO)" in line


@pytest.mark.parametrize(
    ("services", "can"),
    [(["heat"], "false"), (["heat", "cinder"], "false"), (["heat", "cinder", "swift"], "true")],
)
def test_volumes_are_backed_up_where_there_is_somewhere_to_put_them(
    services: list[str], can: str, ini: Ini
) -> None:
    conf = ini("heat", "heat.conf", "controller1", services=services)
    assert conf["volumes"]["backups_enabled"] == can


def test_the_engine_and_the_purge_are_shut_in(units: Callable[..., dict[str, Any]]) -> None:
    having = units("heat", "controller1", services=["heat"])
    assert set(having) == {
        *("heat-api", "heat-api-cfn", "heat-engine"),
        *("heat-purge", "heat-purge-timer"),
    }
    for name in ("heat-engine", "heat-purge"):
        assert "NoNewPrivileges=yes" in having[name]["text"]


def test_deleted_stacks_are_forgotten_after_the_days_that_the_operator_says(
    units: Callable[..., dict[str, Any]],
) -> None:
    having = units("heat", "controller1", services=["heat"], heat_purge_days=7)
    assert "purge_deleted 7\n" in having["heat-purge"]["text"]
    assert "OnCalendar=daily" in having["heat-purge-timer"]["text"]


# What the engine lists for a user, with a catalog that has everything and neutron's extensions.
TYPES = """
import json
import sys
from unittest import mock
from heat.common import config
from heat.engine import clients, resources
from oslo_config import cfg
cfg.CONF([], project="heat", default_config_files=[])
cfg.CONF.set_override("plugin_dirs", [sys.argv[1]])
cfg.CONF.set_override("environment_dir", "/nonexistent")
extensions = json.loads(sys.argv[2])
plugin = mock.Mock(service_types=["all"])
plugin.has_extension.side_effect = extensions.__contains__
found = mock.Mock(return_value=mock.Mock(client_plugin=mock.Mock(return_value=plugin)))
with mock.patch.object(clients, "Clients", found):
    context = mock.Mock()
    context.to_policy_values.return_value = {"roles": ["member"], "project_id": "p"}
    print(json.dumps(resources.global_env().get_types(context)))
"""
CANNOT_WORK = {
    *("OS::Glance::WebImage", "OS::Neutron::MeteringLabel", "OS::Neutron::MeteringRule"),
    *("OS::Neutron::NetworkGateway", "OS::Neutron::PortPair", "OS::Neutron::FlowClassifier"),
}


def listed(venv: Path, manifest: dict[str, Any], folder: Path, extensions: list[str]) -> set[str]:
    """What heat's own code offers with the plugins of a manifest."""
    for file in manifest["files"]:
        if file["path"].startswith("plugins/"):
            (folder / file["path"].removeprefix("plugins/")).write_text(file["content"])
    done = subprocess.run(
        [str(venv / "bin/python"), "-c", TYPES, str(folder), json.dumps(extensions)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_heat_offers_no_resource_that_cannot_work(
    venv_of: Callable[[str], Path], make_model: Any, tmp_path: Path
) -> None:
    manifest = make_model("controller1", services=["heat"]).manifest("heat")
    offered = listed(venv_of("heat"), manifest, tmp_path, ["router", "floating-ip-port-forwarding"])
    assert offered & CANNOT_WORK == set()
    assert {"OS::Nova::Server", "OS::Cinder::Volume", "OS::Neutron::Net"} <= offered
    assert "OS::Neutron::FloatingIPPortForward" in offered


def test_what_an_operator_switches_on_heat_offers(
    venv_of: Callable[[str], Path], make_model: Any, tmp_path: Path
) -> None:
    methods = ["glance-direct", "web-download"]
    model = make_model("controller1", services=["heat"], glance_import_methods=methods)
    offered = listed(venv_of("heat"), model.manifest("heat"), tmp_path, ["metering"])
    assert offered & CANNOT_WORK == {
        *("OS::Glance::WebImage", "OS::Neutron::MeteringLabel", "OS::Neutron::MeteringRule"),
    }


def test_heat_finds_its_plugins(conf: dict[str, dict[str, str]]) -> None:
    assert conf["DEFAULT"]["plugin_dirs"] == "/etc/heat/plugins"
