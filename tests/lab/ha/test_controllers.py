"""Three controllers replace one another: lost, restarted, reconfigured or rebuilt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from cairn.verify.run import wait
from tests.lab.deployed import ROOT, Cloud, work

from .conftest import CONTROLLERS, holder, wait_whole

pytestmark = pytest.mark.lab

Asking = Callable[[], AbstractContextManager[dict[str, Any]]]
# Seconds until every API answers again after a controller's power was cut: keepalived and HAProxy
# need a few; Galera drops a silent member after 15, RabbitMQ after 60.
TAKEN_OVER = 120
KEYS = "cd /var/lib/keystone && sha256sum fernet-keys/0 credential-keys/* fernet-keys/*"
GENERATION = "readlink /var/lib/cairn/services/keystone/current"
QUEUES = (
    "for v in $(rabbitmqctl --quiet --no-table-headers list_vhosts); do "
    "rabbitmqctl --quiet --no-table-headers list_queues --vhost $v type members; done"
)


# The port by which RabbitMQ's nodes meet: it proves whose it is, and answers nobody without TLS.
MEET = (
    "openssl s_client -connect controller2:25672 -verify_hostname controller2 "
    "-verify_return_error -CAfile /etc/ssl/certs/cairn-ca.pem -cert /etc/cairn/tls/host.pem "
    "-key /etc/cairn/tls/host.key </dev/null"
)
PLAIN = (
    "runuser --user=rabbitmq -- erl_call -sname rabbit@controller2 -a 'erlang node []' "
    ">/dev/null 2>&1 && echo answered || echo refused"
)


def change(value: int) -> list[str]:
    """Arguments that change an option of each service that clients ask: all of them restart."""
    options = {
        "keystone": ("keystone.conf", "DEFAULT", "max_param_size"),
        "glance": ("glance-api.conf", "DEFAULT", "limit_param_default"),
        "placement": ("placement.conf", "placement", "allocation_conflict_retry_count"),
        "neutron": ("neutron.conf", "DEFAULT", "max_dns_nameservers"),
        "nova": ("nova.conf", "api", "max_limit"),
    }
    changed = {
        f"{role}_config": {file: {section: {option: value}}}
        for role, (file, section, option) in options.items()
    }
    return ["-e", json.dumps(changed)]


def unfailed(seen: dict[str, Any]) -> dict[str, list[str]]:
    """The clients whose requests failed, with what they got."""
    assert seen and all(client["answered"] > 10 for client in seen.values()), seen
    return {what: client["failed"] for what, client in seen.items() if client["failed"]}


def test_every_controller_is_in_every_cluster(cloud: Cloud) -> None:
    # The fixture has seen Galera, RabbitMQ and OVN whole.
    assert len(holder(cloud)) == 1
    assert len({cloud.on(name, KEYS) for name in CONTROLLERS}) == 1
    queues = [line.split("\t") for line in cloud.on("controller1", QUEUES).splitlines()]
    assert {kind for kind, _ in queues} <= {"quorum", "stream"}
    assert {members.count("rabbit@") for _, members in queues} == {len(CONTROLLERS)}


def test_nodes_of_the_message_cluster_meet_over_tls(cloud: Cloud) -> None:
    assert "Verification: OK" in cloud.on("controller1", MEET)
    assert cloud.on("controller1", PLAIN) == "refused"


def test_a_second_run_changes_nothing(cloud: Cloud) -> None:
    code, text = cloud.site()
    assert code == 0, text
    assert cloud.figures()["hosts"]
    assert work(cloud.figures()) == {}


def test_no_request_fails_while_every_api_is_reconfigured_and_one_goes_back(
    cloud: Cloud, asking: Asking
) -> None:
    before = {name: cloud.on(name, GENERATION) for name in CONTROLLERS}
    with asking() as seen:
        code, text = cloud.site(*change(901))
        changed = {name: cloud.on(name, GENERATION) for name in CONTROLLERS}
        returned, printed = cloud.run("playbooks/rollback.yml", "-e", "service=keystone")
    print(json.dumps(seen, indent=1))
    assert code == 0, text
    assert returned == 0, printed
    assert all(changed[name] != before[name] for name in CONTROLLERS)
    assert {name: cloud.on(name, GENERATION) for name in CONTROLLERS} == before
    assert unfailed(seen) == {}


@pytest.fixture
def instance(tmp_path: Path, client: Callable[..., Any]) -> Iterator[Path]:
    """An instance that answers at its floating IP."""
    kept = tmp_path / "instance"
    client("start", kept)
    yield kept
    client("stop", kept)


def test_the_others_take_over_from_a_controller_that_loses_its_power(
    cloud: Cloud, asking: Asking, client: Callable[..., Any], instance: Path
) -> None:
    (lost,) = holder(cloud)
    with asking() as seen:
        time.sleep(10)
        cloud.lab("kill", lost)
        try:
            # Its network host goes with it: another chassis has the router now.
            reached = client("ping", instance, str(TAKEN_OVER))
            time.sleep(TAKEN_OVER)
            left = tuple(name for name in CONTROLLERS if name != lost)
            assert len(holder(cloud, left)) == 1
        finally:
            cloud.lab("start", lost)
    print(json.dumps(seen | {"instance": reached}, indent=1))
    assert {
        what: found["pause"] for what, found in seen.items() if found["pause"] > TAKEN_OVER
    } == {}
    # It comes back into every cluster, and takes the address away from nobody.
    wait_whole(cloud)
    assert holder(cloud) != [lost]


def test_all_controllers_lose_their_power_at_once(cloud: Cloud) -> None:
    name = f"cairn-ha-{time.time_ns()}"
    assert cloud.openstack("network", "create", name).returncode == 0
    cloud.lab("kill", *CONTROLLERS)
    cloud.lab("start", *CONTROLLERS)
    wait_whole(cloud, 1200)
    assert cloud.openstack("network", "delete", name).returncode == 0


@pytest.mark.parametrize("lost", ["controller3", "controller1"])
def test_a_controller_is_rebuilt(cloud: Cloud, asking: Asking, lost: str) -> None:
    cloud.lab("kill", lost)
    for disk in (ROOT / f".lab/{cloud.name}/disks").glob(f"{lost}.*"):
        disk.unlink()
    cloud.lab("up", lost)
    with asking() as seen:
        code, text = cloud.site()
    print(json.dumps(seen, indent=1))
    assert code == 0, text
    wait_whole(cloud)
    assert len({cloud.on(name, KEYS) for name in CONTROLLERS}) == 1
    assert unfailed(seen) == {}


def test_a_service_goes_on_when_its_process_dies_everywhere_but_on_one(cloud: Cloud) -> None:
    stopped = CONTROLLERS[:2]
    for name in stopped:
        cloud.on(name, "systemctl stop neutron-api keystone-api")
    try:
        wait("the third to answer alone", 60, cloud.answers, interval=2)
    finally:
        for name in stopped:
            cloud.on(name, "systemctl start neutron-api keystone-api")
