"""What the infrastructure roles make of a site."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from cairn.service.model import Model

Content = Callable[..., str]
MakeModel = Callable[..., Model]
ROLES = ["base", "chrony", "pki", "loadbalancer", "mysql", "rabbitmq", "memcached"]


@pytest.fixture(params=[1, 3], ids=["one controller", "three controllers"])
def manifests(request: pytest.FixtureRequest, make_model: MakeModel) -> dict[str, Any]:
    model = make_model(controllers=request.param)
    return {role: model.manifest(role) for role in ROLES}


def test_secrets_stand_in_closed_files_only(
    manifests: dict[str, Any], secrets: dict[str, str]
) -> None:
    private = [value for name, value in secrets.items() if name != "ca_certificate"]
    for manifest in manifests.values():
        for file in manifest["files"]:
            if any(value in file["content"] for value in private):
                assert file["secret"], file["path"]
                assert int(file["mode"], 8) & 0o037 == 0, file["path"]


def test_services_that_read_the_hosts_key_are_in_its_group(manifests: dict[str, Any]) -> None:
    for role in ("mysql", "rabbitmq"):
        assert "cairn-tls" in manifests[role]["user"]["groups"]


def test_other_hosts_have_base_time_and_trust_only(make_model: MakeModel) -> None:
    model = make_model(name="compute1", controllers=3)
    assert [role for role in ROLES if model.manifest(role)] == ["base", "chrony", "pki"]


@pytest.mark.parametrize(
    ("role", "path", "listens"),
    [
        ("mysql", "/etc/mysql/mariadb.conf.d/90-cairn.cnf", r"^bind-address = (\S+)"),
        ("rabbitmq", "/etc/rabbitmq/rabbitmq.conf", r"^listeners\.\S+ = (\S+?):\d+"),
        ("memcached", "/etc/memcached.conf", r"^-l (\S+)"),
        ("chrony", "/etc/chrony/chrony.conf", r"^bindaddress (\S+)"),
    ],
)
def test_it_listens_on_the_management_address_only(
    content: Content, role: str, path: str, listens: str
) -> None:
    text = content(role, path, name="controller2", controllers=3)
    assert re.findall(listens, text, re.M) == ["192.0.2.2"]


# --- base ------------------------------------------------------------------------------------


def test_every_host_is_known_by_its_management_address(content: Content) -> None:
    lines = content("base", "/etc/hosts", base_hosts={"192.0.2.200": ["mirror", "ntp"]}).split("\n")
    assert "192.0.2.1 controller1" in lines
    assert "192.0.2.21 compute1" in lines
    assert "203.0.113.250 cloud.example" in lines
    assert "192.0.2.200 mirror ntp" in lines
    assert not [line for line in lines if line.startswith("127.") and "controller" in line]


def test_a_public_name_leads_hosts_to_the_vip_and_an_address_is_no_name(
    make_model: MakeModel,
) -> None:
    def hosts(public: str) -> list[str]:
        model = make_model()
        model.site["names"] = {**model.site["names"], "public": public}
        files = model.manifest("base")["files"]  # type: ignore[index]
        text: str = next(f["content"] for f in files if f["path"] == "/etc/hosts")
        return [line for line in text.splitlines() if line.startswith("203.0.113.250 ")]

    assert hosts("outside.example") == ["203.0.113.250 outside.example"]
    assert hosts("1st.example") == ["203.0.113.250 1st.example"]
    assert hosts("203.0.113.250") == []
    assert hosts("198.51.100.7") == []


def test_cloud_init_leaves_names_and_networks_alone(make_model: MakeModel) -> None:
    folder = "/etc/cloud/cloud.cfg.d/"
    files = make_model().manifest("base")["files"]  # type: ignore[index]
    (file,) = (file for file in files if file["path"].startswith(folder))
    assert yaml.safe_load(file["content"]) == {
        "manage_etc_hosts": False,
        "preserve_hostname": True,
        "network": {"config": "disabled"},
    }
    # cloudinit.util.read_conf_d reads names that end in .cfg in their order, and the last one wins.
    name = file["path"].removeprefix(folder)
    others = ["90_dpkg.cfg", "99.cfg", "99-installer.cfg", "99_site.cfg", "curtin-sources.cfg"]
    assert name.endswith(".cfg")
    assert sorted([*others, name])[-1] == name


def test_the_operators_kernel_settings_win(content: Content) -> None:
    text = content("base", "/etc/sysctl.d/90-cairn.conf", base_sysctl={"kernel.panic": 0, "a.b": 1})
    assert re.findall(r"kernel\.panic = (\S+)", text) == ["0"]
    assert "-a.b = 1" in text


def test_operators_ask_for_their_own_step_only_when_there_are_any(make_model: MakeModel) -> None:
    assert make_model().manifest("base")["records"] == {}  # type: ignore[index]
    one = make_model(base_operators=[{"name": "ada", "keys": ["ssh-ed25519 A"]}])
    other = make_model(base_operators=[{"name": "ada", "keys": ["ssh-ed25519 B"]}])
    assert one.manifest("base")["records"] != other.manifest("base")["records"]  # type: ignore[index]


# --- pki -------------------------------------------------------------------------------------


def test_the_vips_are_the_controllers_subjects(make_model: MakeModel) -> None:
    def subjects(host: str) -> set[str]:
        record: str = make_model(host).manifest("pki")["records"]["certificate"]  # type: ignore[index]
        return set(record.split()[:-1])

    addresses = {"192.0.2.1", "198.51.100.1", "203.0.113.1"}
    vips = {"192.0.2.250", "203.0.113.250", "internal.example", "cloud.example"}
    assert subjects("controller1") == {"controller1"} | addresses | vips
    assert not subjects("compute1") & vips


def test_no_other_certificate_has_the_name_of_the_sites_own(make_model: MakeModel) -> None:
    """On one VIP HAProxy answers with the first certificate that has the name it is asked for."""
    own = {"pki_public_certificate": "CERTIFICATE", "pki_public_key": "KEY"}
    record: str = make_model("controller1", **own).manifest("pki")["records"]["certificate"]  # type: ignore[index]
    assert "cloud.example" not in record.split()
    assert {"internal.example", "203.0.113.250"} < set(record.split())
    same = {"cairn_public_name": "internal.example", **own}
    record = make_model("controller1", **same).manifest("pki")["records"]["certificate"]  # type: ignore[index]
    assert "internal.example" in record.split()


# --- chrony ----------------------------------------------------------------------------------


def test_controllers_ask_the_world_and_all_others_ask_them(content: Content) -> None:
    path = "/etc/chrony/chrony.conf"
    own = content("chrony", path, controllers=3, chrony_servers=["ntp.example.org"])
    assert "server ntp.example.org iburst" in own
    assert re.findall(r"^peer (\S+)", own, re.M) == ["192.0.2.2", "192.0.2.3"]
    assert "allow 192.0.2.0/24" in own
    other = content("chrony", path, name="compute1", controllers=3)
    assert re.findall(r"^(?:server|pool) (\S+)", other, re.M) == [
        "192.0.2.1", "192.0.2.2", "192.0.2.3",
    ]  # fmt: skip
    assert "allow" not in other and "port 0" in other


# --- mysql, rabbitmq -------------------------------------------------------------------------


def test_one_controller_has_no_trace_of_a_cluster(make_model: MakeModel) -> None:
    manifest = make_model(controllers=1).manifest("mysql")
    assert manifest is not None
    assert "wsrep" not in str(manifest["files"]) and "galera" not in str(manifest)
    assert manifest["records"] == {}


def test_three_controllers_replicate_with_tls(content: Content) -> None:
    text = content("mysql", "/etc/mysql/mariadb.conf.d/90-cairn.cnf", controllers=3)
    assert "wsrep_cluster_address = gcomm://192.0.2.1,192.0.2.2,192.0.2.3" in text
    assert "gmcast.listen_addr=ssl://192.0.2.1:4567" in text
    assert "encrypt = 4" in text
    # Migrations that make triggers (glance's) may do so.
    assert "log_bin_trust_function_creators = ON" in text
    # The power of all nodes may fail at once: what is committed is on the disk.
    assert "innodb_flush_log_at_trx_commit" not in text


def test_galera_can_be_given_patience(content: Content) -> None:
    options = {"evs.suspect_timeout": "PT15S", "evs.inactive_timeout": "PT30S"}
    text = content(
        "mysql",
        "/etc/mysql/mariadb.conf.d/90-cairn.cnf",
        controllers=3,
        mysql_provider_options=options,
    )
    assert 'host.key;evs.suspect_timeout=PT15S;evs.inactive_timeout=PT30S"\n' in text


def test_the_operators_settings_come_last(content: Content) -> None:
    text = content(
        "mysql", "/etc/mysql/mariadb.conf.d/90-cairn.cnf", mysql_settings={"max_connections": 7}
    )
    assert re.findall(r"^max_connections = (\d+)", text, re.M)[-1] == "7"


def test_rabbitmq_listens_with_tls_only_and_makes_no_guest(content: Content) -> None:
    text = content("rabbitmq", "/etc/rabbitmq/rabbitmq.conf", controllers=3)
    assert "listeners.tcp = none" in text
    assert "load_definitions = /etc/rabbitmq/definitions.json" in text
    assert "cluster_formation" not in text
    assert '"users": []' in content("rabbitmq", "/etc/rabbitmq/definitions.json")
    assert content("rabbitmq", "/etc/rabbitmq/enabled_plugins") == "[].\n"


def test_erlang_meets_on_the_management_plane(content: Content) -> None:
    text = content("rabbitmq", "/etc/rabbitmq/rabbitmq-env.conf")
    assert "inet_dist_use_interface {192,0,2,1}" in text
