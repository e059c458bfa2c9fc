"""Neutron on controllers and compute hosts."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://controller", "ansible://compute"]
CONTROLLER = ("neutron-api", "neutron-periodic-workers", "neutron-ovn-maintenance-worker")
VENV = "/var/lib/cairn/services/neutron/current/venv/bin"


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs(controller=CONTROLLER, compute=("neutron-ovn-agent",))


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    on: Any, own_url: Any, status: Any
) -> None:
    on("controller")
    assert status(own_url(9696, "/v2.0/networks")) == "401"


def test_the_schema_is_that_of_the_code(host: Any, on: Any) -> None:
    on("controller")
    files = "--config-file /etc/neutron/neutron.conf --config-file /etc/neutron/ml2_conf.ini"
    result = host.run(
        f"runuser -u neutron -- {VENV}/neutron-db-manage {files} has_offline_migrations"
    )
    assert result.rc == 0, result.stdout + result.stderr


def test_neutron_reads_the_key_that_ovn_knows_it_by(host: Any) -> None:
    assert "cairn-tls" in host.user("neutron").groups
    assert host.run("runuser -u neutron -- test -r /etc/cairn/tls/host.key").rc == 0


def test_every_compute_hosts_agent_is_known_to_ovn(host: Any, on: Any) -> None:
    on("controller")
    wanted = set(host.backend.ansible_runner.get_hosts("compute"))
    result = host.run(
        "ovn-sbctl --timeout=10 --bare --columns=name,external_ids list Chassis_Private"
    ).stdout
    known = {
        block.split()[0]
        for block in result.strip().split("\n\n")
        if "neutron:ovn-neutron-agent-id=" in block
    }
    assert wanted <= known


def test_a_compute_host_runs_no_load_balancer_of_its_own(
    host: Any, on: Any, groups: list[str]
) -> None:
    on("compute")
    if "controller" in groups:
        pytest.skip("the cloud's load balancer runs here")
    assert not host.service("haproxy").is_running
    assert not host.service("haproxy").is_enabled


def test_a_compute_host_knows_no_database(host: Any, on: Any) -> None:
    on("compute")
    assert not host.file("/etc/neutron/neutron.conf").contains("mysql")


def test_the_agent_can_read_the_pid_files_of_its_proxies(host: Any, on: Any) -> None:
    on("compute")
    shown = host.check_output("systemctl show --property=UMask --value neutron-ovn-agent")
    assert shown == "0022"


EXTENSIONS = """
answer = session.get("/v2.0/extensions", endpoint_filter={"service_type": "network",
                                                          "interface": "internal"})
print(*(one["alias"] for one in answer.json()["extensions"]))
"""


def test_the_api_has_what_is_loaded_by_default(on: Any, as_service: Any) -> None:
    on("controller")
    said = as_service("neutron", "/etc/neutron/neutron.conf", EXTENSIONS).split()
    assert {
        *("dns-integration", "dns-domain-ports", "dns-integration-domain-keywords"),
        *("subnet-dns-publish-fixed-ip", "floating-ip-port-forwarding", "logging"),
        *("qos", "trunk", "segment", "uplink-status-propagation"),
    } <= set(said)
