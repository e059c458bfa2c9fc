"""OVN on controllers, network and compute hosts."""

from __future__ import annotations

from typing import Any

testinfra_hosts = ["ansible://controller", "ansible://network", "ansible://compute"]
CENTRAL = ("ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb", "ovn-northd")
CHASSIS = ("openvswitch-switch", "cairn-ovn-chassis", "ovn-controller")


def external(host: Any, name: str) -> str:
    asked = host.run("ovs-vsctl --timeout=10 --if-exists get Open_vSwitch . external-ids:%s", name)
    value: str = asked.stdout.strip().strip('"')
    return value


def test_units_of_the_host_run(host: Any, groups: list[str]) -> None:
    wanted = [
        *(CENTRAL if "controller" in groups else ()),
        *(CHASSIS if {"network", "compute"} & set(groups) else ()),
    ]
    assert {unit: host.service(unit).is_running for unit in wanted} == dict.fromkeys(wanted, True)


def test_the_databases_lead_or_follow_in_their_cluster(host: Any, on: Any) -> None:
    on("controller")
    for control, name in (("nb", "OVN_Northbound"), ("sb", "OVN_Southbound")):
        result = host.run(
            f"ovn-appctl --timeout=10 -t /run/ovn/ovn{control}_db.ctl cluster/status {name}"
        )
        assert "Status: cluster member" in result.stdout, result.stderr
        assert "Leader: unknown" not in result.stdout


def test_the_databases_listen_on_one_address_and_know_their_clients(host: Any, on: Any) -> None:
    on("controller")
    for port in (6641, 6642):
        (listening,) = [s for s in host.socket.get_listening_sockets() if s.endswith(f":{port}")]
        assert not listening.startswith(("tcp://0.0.0.0:", "tcp://:::"))
        address = listening.removeprefix("tcp://")
        stranger = host.run(
            "openssl s_client -connect %s -CAfile /etc/ssl/certs/cairn-ca.pem -verify_return_error "
            "-ign_eof < /dev/null",
            address,
        )
        assert "alert" in stranger.stdout + stranger.stderr


def test_every_chassis_is_known_by_its_hosts_name(host: Any, on: Any) -> None:
    on("controller")
    runner = host.backend.ansible_runner
    wanted = {*runner.get_hosts("network"), *runner.get_hosts("compute")}
    result = host.run(
        "ovn-sbctl --timeout=10 --no-leader-only --bare --columns=name,hostname list Chassis"
    ).stdout
    pairs = [block.split() for block in result.strip().split("\n\n")]
    assert {name for name, _ in pairs} == wanted
    assert all(name == hostname for name, hostname in pairs)


def test_the_host_is_connected_to_the_southbound_database(host: Any, on: Any) -> None:
    on("network", "compute")
    result = host.run("ovn-appctl --timeout=10 -t ovn-controller connection-status")
    assert result.stdout.strip() == "connected"


def test_only_gateways_have_the_provider_bridge(host: Any, on: Any, groups: list[str]) -> None:
    on("network", "compute")
    gateway = "network" in groups
    bridges = host.run("ovs-vsctl --timeout=10 list-br").stdout.split()
    assert "br-int" in bridges
    assert ("br-provider" in bridges) is gateway
    assert external(host, "ovn-bridge-mappings") == ("physnet1:br-provider" if gateway else "")
    assert external(host, "ovn-cms-options") == ("enable-chassis-as-gw" if gateway else "")


def test_the_switchs_database_answers_root_and_its_group_only(host: Any, on: Any) -> None:
    on("network", "compute")
    managers = host.run("ovs-vsctl --timeout=10 get-manager").stdout.split()
    assert managers == ["punix:/run/cairn-ovs/db.sock"]
    assert not host.socket("tcp://127.0.0.1:6640").is_listening
    ask = "ovs-vsctl --timeout=10 --db=unix:/run/cairn-ovs/db.sock show"
    assert host.run(f"setpriv --reuid=nobody --regid=cairn-ovs --clear-groups {ask}").rc == 0
    assert host.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups {ask}").rc != 0
    for socket in ("/run/cairn-ovs/db.sock", "/run/openvswitch/db.sock"):
        assert host.file(socket).mode & 0o007 == 0


def test_the_group_keeps_its_way_in_over_a_restart_of_the_server(host: Any, on: Any) -> None:
    on("network", "compute")
    result = host.run("systemctl show -p UMask --value ovsdb-server.service")
    assert result.stdout.strip() == "0007"


def test_the_chassis_keeps_its_name_over_a_reboot(host: Any, on: Any) -> None:
    on("network", "compute")
    name = host.ansible.get_variables()["inventory_hostname"]
    assert host.file("/etc/openvswitch/system-id.conf").content_string.strip() == name
    assert external(host, "system-id") == name
