"""From variables to machines."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from lab import cli, inventory
from lab.inventory import Gateway, Site
from lab.run import LabError

Hostvars = dict[str, dict[str, Any]]
ROOT = Path(__file__).parents[3]


def test_hosts_with_nics_become_machines_and_others_do_not(site: Site) -> None:
    assert [host.name for host in site.hosts] == ["alpha", "beta"]


def test_a_machine_is_what_its_variables_say(hostvars: Hostvars) -> None:
    hostvars["beta"] |= {"lab_memory_mb": "3072", "lab_cpus": 4, "lab_disks": [8, 16]}
    hostvars["beta"]["lab_nice"] = 5
    beta = inventory.site(hostvars).host("beta")
    assert (beta.memory, beta.cpus, beta.disks) == (3072, 4, (20, 8, 16))
    assert (beta.nice, inventory.site(hostvars).host("alpha").nice) == (5, 0)
    assert beta.address == IPv4Interface("198.18.0.12/24")
    assert beta.gateway == IPv4Address("198.18.0.1")
    assert [nic.mac for nic in beta.nics][2] == "52:54:00:18:1e:12"


def test_nics_of_one_name_share_a_segment_unless_the_inventory_says_otherwise(
    hostvars: Hostvars,
) -> None:
    hostvars["alpha"]["cairn_nics"]["eno1"] = {
        "mac": "52:54:00:18:77:11",
        "mtu": 9000,
        "lab_segment": "stor0",
    }
    hostvars["alpha"]["cairn_host_planes"]["storage"] = {"interface": "eno1"}
    nics = {nic.name: nic.segment for nic in inventory.site(hostvars).host("alpha").nics}
    assert nics == {"mgmt0": "mgmt0", "stor0": "stor0", "serv0": "serv0", "eno1": "stor0"}


def test_the_lab_has_an_address_in_each_plane_and_flat_provider_network(site: Site) -> None:
    assert set(site.gateways) == {
        Gateway("mgmt0", 0, IPv4Interface("198.18.0.1/24"), 1500),
        Gateway("stor0", 20, IPv4Interface("198.18.20.1/24"), 9000),
        Gateway("serv0", 30, IPv4Interface("198.18.30.1/24"), 1500),
        Gateway("serv0", 0, IPv4Interface("198.18.40.1/24"), 1500),
    }


def test_a_bond_boots_from_its_first_member_on_the_plane_s_vlan(hostvars: Hostvars) -> None:
    for values in hostvars.values():
        if values:
            members = ["mgmt0", "mgmt1"]
            values["cairn_nics"]["mgmt1"] = {"mac": f"52:54:00:18:01:{values['cairn_host_number']}"}
            values["cairn_bonds"] = {"bond0": {"members": members, "mode": "active-backup"}}
            values["cairn_host_planes"]["management"] = {"interface": "bond0"}
            values["cairn_planes"]["management"]["vlan"] = 10
    alpha = inventory.site(hostvars).host("alpha")
    assert (alpha.boot_nic, alpha.boot_vlan) == ("mgmt0", 10)


@pytest.mark.parametrize("untagged", [None, 0])
def test_a_host_may_have_a_tagged_plane_untagged(hostvars: Hostvars, untagged: int | None) -> None:
    for name in ("alpha", "beta"):
        hostvars[name]["cairn_host_planes"]["storage"]["vlan"] = untagged
    storage = next(
        gateway for gateway in inventory.site(hostvars).gateways if gateway.segment == "stor0"
    )
    assert storage.vlan == 0


def test_a_plane_on_two_segments_is_refused(hostvars: Hostvars) -> None:
    hostvars["beta"]["cairn_host_planes"]["storage"]["interface"] = "serv0"
    hostvars["beta"]["cairn_nics"]["serv0"]["mtu"] = 9000
    with pytest.raises(LabError, match="beta: plane storage is on segment serv0"):
        inventory.site(hostvars)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ansible_host": "198.18.0.99"}, "beta: ansible_host is 198.18.0.99, but .* 198.18.0.12"),
        ({"cairn_host_planes": {}}, "beta: is not on the plane management"),
        (
            {"cairn_host_number": 11, "ansible_host": "198.18.0.11"},
            "beta: has cairn_host_number 11, which is alpha's too",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    hostvars: Hostvars, change: dict[str, Any], message: str
) -> None:
    hostvars["beta"] |= change
    with pytest.raises(LabError, match=message):
        inventory.site(hostvars)


def test_two_hosts_with_one_mac_are_refused(hostvars: Hostvars) -> None:
    hostvars["beta"]["cairn_nics"]["mgmt0"]["mac"] = "52:54:00:18:00:11"
    with pytest.raises(
        LabError, match="beta: NIC mgmt0 has MAC 52:54:00:18:00:11, which is alpha's"
    ):
        inventory.site(hostvars)


def test_all_that_is_wrong_is_refused_at_once_in_the_words_of_a_run(hostvars: Hostvars) -> None:
    hostvars["beta"]["cairn_nics"]["stor0"]["mac"] = "5254.0018.1412"
    hostvars["beta"]["cairn_host_planes"]["service"]["interface"] = "serv1"
    with pytest.raises(LabError) as refused:
        inventory.site(hostvars)
    assert 'beta: NIC stor0 has MAC 5254.0018.1412; write it as "52:54' in str(refused.value)
    assert "beta: plane service is on an unknown NIC or bond serv1" in str(refused.value)


def test_a_lab_may_have_fewer_planes_than_a_site(hostvars: Hostvars) -> None:
    for name in ("alpha", "beta"):
        values = hostvars[name]
        for plane in ("storage", "service"):
            del values["cairn_host_planes"][plane]
        values["cairn_planes"] = {"management": values["cairn_planes"]["management"]}
    (gateway,) = inventory.site(hostvars).gateways
    assert gateway.address == IPv4Interface("198.18.0.1/24")


def test_an_unknown_host_is_answered_with_those_there_are(site: Site) -> None:
    with pytest.raises(LabError, match="gamma: no such host in this lab; there are alpha, beta"):
        site.host("gamma")


def test_the_embedded_inventory_is_read_by_ansible_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = tmp_path / "site"
    for path in (ROOT / "inventories/lab").rglob("*.yml"):
        target = copy / path.relative_to(ROOT / "inventories/lab")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (copy / "group_vars/all/secrets.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n00\n")
    read = inventory.read(copy)
    memory = {host.name: host.memory for host in read.hosts}
    assert memory == {
        "compute1": 3072,
        "compute2": 3072,
        "controller1": 6144,
        "network1": 2048,
        "storage1": 2048,
    }
    assert read.host("storage1").disks == (20, 8, 2, 2, 2)
    cached = list((tmp_path / "cache/cairn").glob("inventory-*.json"))
    assert len(cached) == 1
    assert inventory.read(copy) == read


def test_a_lab_has_the_inventory_of_its_name_where_there_is_one() -> None:
    assert cli.inventory_of("lab-ha") == ROOT / "inventories/lab-ha"
    assert cli.inventory_of("other") == ROOT / "inventories/lab"


def test_the_vagrantfile_asks_the_lab_for_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(["--inventory", str(ROOT / "inventories/lab"), "machines"]) == 0
    machines = json.loads(capsys.readouterr().out)
    known = {host.name: host for host in inventory.read(ROOT / "inventories/lab").hosts}
    assert [machine["name"] for machine in machines] == list(known)
    for machine in machines:
        host = known[machine["name"]]
        assert machine["address"] == str(host.address.ip)
        assert machine["boot_nic"] in [nic["name"] for nic in machine["nics"]]
        assert [nic["mac"] for nic in machine["nics"]] == [nic.mac for nic in host.nics]
    text = (ROOT / "Vagrantfile").read_text()
    assert "yaml" not in text.lower()
    asked = set(re.findall(r'\bmachine\["(\w+)"\]', text))
    assert asked == set(machines[0])
    asked = set(re.findall(r'\bnic\["(\w+)"\]', text))
    assert asked == set(machines[0]["nics"][0])
