"""What the OpenStack roles put on hosts, where it is easy to get wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleUndefinedVariable

from cairn.service.manifest import digest
from cairn.service.model import Model, due_records

Content = Callable[..., str]
Ini = Callable[..., dict[str, dict[str, str]]]


# -- who has what ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["keystone", "glance", "placement"])
def test_only_controllers_have_the_shared_services(
    role: str, make_model: Callable[..., Model]
) -> None:
    having = {n for n in ("controller1", "network1", "compute1") if make_model(n).manifest(role)}
    assert having == {"controller1"}


def test_a_compute_host_has_no_way_into_the_database(ini: Ini) -> None:
    nova = ini("nova", "nova.conf", "compute1")
    neutron = ini("neutron", "neutron.conf", "compute1")
    assert not {"database", "api_database"} & (set(nova) | set(neutron))


def test_controllers_run_novas_brains_and_compute_hosts_its_hands(
    units: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    assert set(units("nova", "controller1")) == {
        *("nova-api", "nova-metadata", "nova-conductor", "nova-scheduler"),
        *("nova-novncproxy", "nova-console-files"),
    }
    assert set(units("nova", "compute1")) == {
        *("dbus", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd", "libvirt-guests"),
        "nova-compute",
    }


def test_a_single_processor_gets_one_process_and_many_get_four(content: Content) -> None:
    for cpus, processes in ((1, 1), (2, 2), (64, 4)):
        text = content(
            "nova", "uwsgi-nova-api.ini", "controller1", cairn_host={"cpus": cpus, "cpu_flags": []}
        )
        assert f"processes = {processes}\n" in text


def test_only_its_group_talks_to_libvirt_which_asks_no_further(
    content: Content, units: Callable[..., dict[str, dict[str, Any]]]
) -> None:
    having = units("nova", "compute1")
    for socket in ("libvirtd.socket", "libvirtd-ro.socket"):
        assert "SocketMode=0660\nSocketGroup=libvirt\n" in having[socket]["dropin"]
    assert 'auth_unix_rw = "none"' in content("nova", "/etc/libvirt/libvirtd.conf", "compute1")


@pytest.mark.parametrize(
    ("flags", "virt", "model"), [(["vmx"], "kvm", "host-model"), ([], "qemu", "none")]
)
def test_instances_use_hardware_virtualisation_where_there_is_some(
    flags: list[str], virt: str, model: str, ini: Ini
) -> None:
    libvirt = ini("nova", "nova.conf", "compute1", cairn_host={"cpus": 1, "cpu_flags": flags})
    assert (libvirt["libvirt"]["virt_type"], libvirt["libvirt"]["cpu_mode"]) == (virt, model)


def test_a_stop_waits_longer_than_the_service_it_stops(
    ini: Ini, units: Callable[..., dict[str, dict[str, Any]]]
) -> None:
    for name, host in (("nova-conductor", "controller1"), ("nova-compute", "compute1")):
        default = ini("nova", "nova.conf", host)["DEFAULT"]
        service = int(default["graceful_shutdown_timeout"])
        assert int(default["manager_shutdown_timeout"]) < service
        text = units("nova", host)[name]["text"]
        (stop,) = [line for line in text.splitlines() if line.startswith("TimeoutStopSec=")]
        assert int(stop.split("=")[1]) > service


def test_only_a_host_of_instances_sleeps_for_work_beside_its_messages(ini: Ini) -> None:
    waits = {
        host: int(ini("nova", "nova.conf", host)["DEFAULT"]["manager_shutdown_timeout"])
        for host in ("controller1", "compute1")
    }
    assert waits["controller1"] == 0
    assert waits["compute1"] > 0


@pytest.mark.parametrize(
    ("role", "unit"), [("nova", "nova-compute"), ("neutron", "neutron-ovn-agent")]
)
def test_a_service_that_needs_sudo_is_not_kept_from_it(
    role: str, unit: str, units: Callable[..., dict[str, dict[str, Any]]]
) -> None:
    text = units(role, "compute1")[unit]["text"]
    # Each of these makes systemd set NoNewPrivileges for a service that is not root's.
    forbidden = (
        "NoNewPrivileges",
        "RestrictSUIDSGID",
        "SystemCallFilter",
        "ProtectKernel",
        "Private",
    )
    assert [line for line in text.splitlines() if line.startswith(forbidden)] == []


@pytest.mark.parametrize(
    ("role", "unit"),
    [("keystone", "keystone-api"), ("glance", "glance-api"), ("neutron", "neutron-api"),
     ("nova", "nova-scheduler")],
)  # fmt: skip
def test_other_services_are_shut_in(
    role: str, unit: str, units: Callable[..., dict[str, dict[str, Any]]]
) -> None:
    text = units(role, "controller1")[unit]["text"]
    assert "ProtectSystem=strict" in text
    assert "NoNewPrivileges=yes" in text


def test_keystones_keys_are_outside_its_generations(ini: Ini) -> None:
    conf = ini("keystone", "keystone.conf", "controller1")
    for section in ("fernet_tokens", "fernet_receipts", "credential"):
        assert conf[section]["key_repository"].startswith("/var/lib/keystone/")


# -- Neutron and OVN ------------------------------------------------------------------------------


def test_neutron_knows_the_sites_provider_networks(ini: Ini) -> None:
    conf = ini("neutron", "ml2_conf.ini", "controller1")
    assert conf["ml2_type_flat"]["flat_networks"] == "physnet1"
    assert conf["ml2_type_vlan"]["network_vlan_ranges"] == "physnet1:100:199"


@pytest.mark.parametrize(
    ("path", "host"), [("ml2_conf.ini", "controller1"), ("neutron_ovn_agent.ini", "compute1")]
)
def test_neutron_speaks_tls_to_every_database_of_ovn(path: str, host: str, ini: Ini) -> None:
    ovn = ini("neutron", path, host, controllers=3)["ovn"]
    assert ovn["ovn_nb_connection"] == "ssl:192.0.2.1:6641,ssl:192.0.2.2:6641,ssl:192.0.2.3:6641"
    assert ovn["ovn_sb_connection"].count("ssl:") == 3
    assert ovn["ovn_sb_ca_cert"] == "/etc/ssl/certs/cairn-ca.pem"


def test_neutron_gives_a_database_up_when_ovn_does(root: Path, ini: Ini) -> None:
    # The default stands in both roles; neutron's hosts need not have OVN's.
    default = yaml.safe_load((root / "roles/ovn/defaults/main.yml").read_text())
    where = (("ml2_conf.ini", "controller1"), ("neutron_ovn_agent.ini", "compute1"))
    for path, host in where:
        probe = ini("neutron", path, host)["ovn"]["ovsdb_probe_interval"]
        assert probe == str(default["ovn_probe_interval"])
        chosen = ini("neutron", path, host, ovn_probe_interval=7000)["ovn"]
        assert chosen["ovsdb_probe_interval"] == "7000"


def test_one_name_of_a_host_runs_through_nova_neutron_and_ovn(ini: Ini, content: Content) -> None:
    assert ini("nova", "nova.conf", "compute1")["DEFAULT"]["host"] == "compute1"
    assert ini("neutron", "neutron.conf", "compute1")["DEFAULT"]["host"] == "compute1"
    assert content("ovn", "/etc/openvswitch/system-id.conf", "compute1") == "compute1\n"
    assert "external-ids:hostname=compute1" in content("ovn", "/etc/cairn/ovn/chassis", "compute1")


@pytest.mark.parametrize(("host", "gateway"), [("network1", True), ("compute1", False)])
def test_only_network_hosts_are_gateways_with_the_provider_bridge(
    host: str, gateway: bool, content: Content
) -> None:
    chassis = content("ovn", "/etc/cairn/ovn/chassis", host)
    assert ("""ovn-cms-options='"enable-chassis-as-gw"'""" in chassis) is gateway
    assert ("add-port br-provider serv0" in chassis) is gateway
    assert ("del-br br-provider" in chassis) is not gateway


# What neutron's own code reads of a chassis.
ZONES = """
import sys
from types import SimpleNamespace
from neutron.common.ovn import utils
for options in sys.argv[1:]:
    chassis = SimpleNamespace(other_config={"ovn-cms-options": options}, external_ids={})
    print(utils.is_gateway_chassis(chassis), sorted(utils.get_chassis_availability_zones(chassis)))
"""


def test_neutron_finds_the_zones_of_a_gateway(
    content: Content, venv_of: Callable[[str], Path]
) -> None:
    asked, wanted = [str(venv_of("neutron") / "bin/python"), "-c", ZONES], []
    for zones in ([], ["rack-1"], ["rack-1", "room.2"]):
        chassis = content("ovn", "/etc/cairn/ovn/chassis", "network1", ovn_availability_zones=zones)
        asked += re.findall(r"""ovn-cms-options='"(.*)"'""", chassis)
        wanted.append(f"True {zones}")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == wanted, done.stderr


def test_a_zone_that_would_be_read_as_two_is_refused(content: Content) -> None:
    zones = ["rack-1", "a:b"]
    with pytest.raises(AnsibleUndefinedVariable, match="ovn_availability_zones has a:b"):
        content("ovn", "/etc/cairn/ovn/chassis", "network1", ovn_availability_zones=zones)


@pytest.mark.parametrize("host", ["network1", "compute1"])
def test_the_chassis_script_is_shell_and_never_waits_for_ever(
    host: str, content: Content, tmp_path: Path
) -> None:
    script = tmp_path / "chassis"
    script.write_text(content("ovn", "/etc/cairn/ovn/chassis", host))
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert script.read_text().count("ovs-vsctl") == script.read_text().count("ovs-vsctl --timeout=")


def test_a_switch_is_changed_by_its_group_alone(
    content: Content, ini: Ini, make_model: Callable[..., Model], units: Any
) -> None:
    socket = "unix:/run/cairn-ovs/db.sock"
    assert f"set-manager p{socket} " in content("ovn", "/etc/cairn/ovn/chassis", "compute1")
    assert ini("neutron", "neutron_ovn_agent.ini", "compute1")["ovs"]["ovsdb_connection"] == socket
    assert ini("nova", "nova.conf", "compute1")["os_vif_ovs"]["ovsdb_connection"] == socket
    for role, unit in (("nova", "nova-compute"), ("neutron", "neutron-ovn-agent")):
        (groups,) = re.findall(r"SupplementaryGroups=(.*)", units(role, "compute1")[unit]["text"])
        assert "cairn-ovs" in groups.split()
    manifest = make_model("compute1").manifest("ovn")
    assert manifest is not None
    assert manifest["user"]["groups"] == ["cairn-ovs"]


def test_no_database_listens_where_every_process_of_a_host_may_call(
    make_model: Callable[..., Model],
) -> None:
    for name in ("controller1", "network1", "compute1"):
        for role, manifest in make_model(name).manifests().items():
            shown = json.dumps([manifest["files"], manifest["units"]])
            assert not re.search(r"ptcp:|tcp:(127|0|\[)[^/]*:66", shown), (name, role)


def test_tunnels_run_over_the_service_plane(content: Content) -> None:
    chassis = content("ovn", "/etc/cairn/ovn/chassis", "compute1")
    assert "external-ids:ovn-encap-ip=203.0.113.21" in chassis


@pytest.mark.parametrize(("name", "port"), [("northbound", 6641), ("southbound", 6642)])
def test_ovns_databases_listen_on_the_management_address_with_tls_only(
    name: str, port: int, content: Content
) -> None:
    conf = json.loads(content("ovn", f"/etc/cairn/ovn/{name}.json", "controller1"))
    outside = [remote for remote in conf["remotes"] if not remote.startswith("punix:")]
    assert outside == [f"pssl:{port}:192.0.2.1"]


def test_stopping_northd_leaves_the_databases_alone(
    units: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    dropin = units("ovn", "controller1")["ovn-northd"]["dropin"]
    first, second = [line for line in dropin.splitlines() if line.startswith("ExecStop=")]
    assert first == "ExecStop="
    assert "--ovn-manage-ovsdb=no" in second


def options(text: str) -> list[str]:
    return text.split('"')[1].split()


def test_the_first_controller_founds_ovns_cluster_and_the_others_join_it(content: Content) -> None:
    first, second = (
        options(content("ovn", "/etc/default/ovn-central", f"controller{n}", controllers=3))
        for n in (1, 2)
    )
    assert "--db-nb-cluster-local-addr=192.0.2.1" in first
    assert not any("cluster-remote" in option for option in first)
    assert "--db-sb-cluster-remote-addr=192.0.2.1" in second
    assert "--db-sb-cluster-remote-proto=ssl" in second
    assert any(o.startswith("--ovn-northd-nb-db=ssl:192.0.2.1:6641,ssl:") for o in second)


def test_one_controller_is_a_cluster_of_one(content: Content) -> None:
    alone = options(content("ovn", "/etc/default/ovn-central", "controller1"))
    assert "--db-nb-cluster-local-addr=192.0.2.1" in alone
    assert not any(o.startswith("--ovn-northd-nb-db") for o in alone)


@pytest.mark.parametrize(
    ("arguments", "may"),
    [
        ("netns exec ovnmeta-{0} env PROCESS_TAG=haproxy-{0} haproxy -f {1}/{0}.conf", True),
        ("netns exec ovnmeta-{0} env PROCESS_TAG=haproxy-{0} haproxy -f /tmp/{0}.conf", False),
        ("netns exec ovnmeta-{0} sh", False),
        ("netns exec ovnmeta-{0} env PROCESS_TAG=haproxy-{0} haproxy -f {1}/{0}.conf -x", False),
    ],
)
def test_the_agent_starts_its_metadata_proxies_as_root_and_nothing_else(
    arguments: str, may: bool, content: Content
) -> None:
    rules = content("neutron", "/etc/sudoers.d/cairn-neutron", "compute1").splitlines()
    (pattern,) = [rule.split("/sbin/ip ")[1] for rule in rules if "/sbin/ip " in rule]
    network = "23923300-21fa-4040-8ae8-c9b35cd4813f"
    asked = arguments.format(network, "/var/lib/neutron/ovn-metadata-proxy")
    assert (re.fullmatch(pattern, asked) is not None) is may


def test_the_agent_can_read_what_its_proxies_write_as_root(
    units: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    # sudo keeps the unit's umask, and haproxy writes its pid file with 0644 less that.
    text = units("neutron", "compute1")["neutron-ovn-agent"]["text"]
    (umask,) = [line for line in text.splitlines() if line.startswith("UMask=")]
    assert 0o644 & ~int(umask.partition("=")[2], 8) == 0o644


def test_the_agent_may_start_its_proxies_as_root_and_end_nothing(content: Content) -> None:
    rules = content("neutron", "/etc/sudoers.d/cairn-neutron", "compute1")
    assert "kill" not in rules


# What neutron's own drivers say of a port that has a name: its name, as it is stored.
NAMES = """
import sys
from importlib.metadata import entry_points
from neutron.common import config
config.register_common_config_options()
from oslo_config import cfg
cfg.CONF(["--config-file", sys.argv[1], "--config-file", sys.argv[2]])
from neutron.conf.plugins.ml2 import config as ml2
ml2.register_ml2_plugin_opts()
from neutron.common.ovn import extensions
loaded, kept = set(), None
for name in cfg.CONF.ml2.extension_drivers:
    (found,) = entry_points(group="neutron.ml2.extension_drivers", name=name)
    driver = found.load()()
    aliases = getattr(driver, "extension_aliases", None) or [driver.extension_alias]
    loaded.update(aliases)
    if hasattr(driver, "_get_request_dns_name"):
        kept = driver._get_request_dns_name({"dns_name": "db"})[0]
claimed = {e for e in extensions.ML2_SUPPORTED_API_EXTENSIONS_OVN_L3 if "dns" in e}
claimed |= {e for e in extensions.ML2_SUPPORTED_API_EXTENSIONS if "dns" in e}
print(sorted(claimed - loaded), kept)
"""


def test_neutron_stores_the_names_that_ovns_driver_says_it_has(
    venv_of: Callable[[str], Path], content: Content, tmp_path: Path
) -> None:
    files = []
    for name in ("neutron.conf", "ml2_conf.ini"):
        (tmp_path / name).write_text(content("neutron", name, "controller1"))
        files.append(str(tmp_path / name))
    done = subprocess.run(
        [str(venv_of("neutron") / "bin/python"), "-c", NAMES, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] db"


@pytest.mark.parametrize("domain", ["openstacklocal", "openstacklocal.", ""])
def test_a_domain_with_which_neutron_stores_no_names_is_refused(domain: str, ini: Ini) -> None:
    with pytest.raises(AnsibleUndefinedVariable, match="cannot resolve each other"):
        ini("neutron", "neutron.conf", "controller1", neutron_dns_domain=domain)


def test_no_server_outside_is_asked_for_an_instances_name(ini: Ini) -> None:
    assert ini("neutron", "ml2_conf.ini", "controller1")["ovn"]["dns_records_ovn_owned"] == "true"


def test_an_instance_is_called_by_itself_what_neutrons_dns_calls_it(root: Path, ini: Ini) -> None:
    for chosen in ({}, {"neutron_dns_domain": "vm.example.com"}):
        named = ini("nova", "nova.conf", "controller1", **chosen)["api"]["dhcp_domain"]
        assert (
            named
            == ini("neutron", "neutron.conf", "controller1", **chosen)["DEFAULT"]["dns_domain"]
        )


def test_several_instances_can_share_a_floating_ip_and_security_groups_can_log(ini: Ini) -> None:
    plugins = ini("neutron", "neutron.conf", "controller1")["DEFAULT"]["service_plugins"]
    assert {"port_forwarding", "log"} <= set(plugins.split(","))


# -- steps on the database ------------------------------------------------------------------------


def test_the_first_controller_moves_schemas_and_the_last_finishes(
    make_model: Callable[..., Model],
) -> None:
    moving = {}
    for name in ("controller1", "controller2", "controller3", "compute1"):
        manifest = make_model(name, controllers=3).manifest("nova")
        assert manifest is not None
        moving[name] = [step["name"] for step in manifest["migrations"]]
    assert moving["controller1"] == ["api", "cells", "main"]
    assert moving["controller3"] == ["online"]
    assert moving["controller2"] == moving["compute1"] == []


def test_a_new_compute_host_makes_the_first_controller_map_hosts_again(
    make_model: Callable[..., Model],
) -> None:
    first = make_model("controller1", controllers=3).manifest("nova")
    second = make_model("controller2", controllers=3).manifest("nova")
    assert first is not None
    assert second is not None
    assert first["records"] == {"nova-hosts": "compute1 compute2"}
    assert due_records(first, {"nova-hosts": digest("compute1")}) == ["nova-hosts"]
    assert due_records(first, {"nova-hosts": digest("compute1 compute2")}) == []
    assert second["records"] == {}


def test_no_secret_stands_in_a_unit_or_a_command(make_model: Callable[..., Model]) -> None:
    for name in ("controller1", "network1", "compute1"):
        model = make_model(name, controllers=3, glance_images_shared=True)
        for role in ("keystone", "glance", "placement", "nova", "ovn", "neutron"):
            manifest = model.manifest(role)
            if manifest is None:
                continue
            shown = json.dumps([manifest["units"], manifest["migrations"]])
            assert [s for s in model.secrets.values() if s in shown] == [], (role, name)
