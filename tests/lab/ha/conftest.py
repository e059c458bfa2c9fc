"""The lab of several controllers with its cloud: make lab INVENTORY=inventories/lab-ha."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.deployed import ROOT, Cloud, wait_until_none

CONTROLLERS = ("controller1", "controller2", "controller3")
CLIENTS = Path(__file__).with_name("clients.py")
VIP = "198.18.0.10"
BACK = 900  # seconds in which a controller that was off has joined every cluster again
WHERE = "ip -brief address show to {vip} | grep -q . && echo here || true"
GALERA = (
    'mariadb --batch --skip-column-names -e "SELECT GROUP_CONCAT(variable_value ORDER BY '
    "variable_name) FROM information_schema.global_status WHERE variable_name IN "
    "('wsrep_cluster_size', 'wsrep_cluster_status', 'wsrep_local_state_comment')\""
)
RABBIT = "rabbitmqctl --quiet --formatter json cluster_status"
OVN = "ovn-appctl -t /run/ovn/ovn{db}_db.ctl cluster/status {name}"


def holder(cloud: Cloud, among: tuple[str, ...] = CONTROLLERS) -> list[str]:
    """The controllers that have the internal VIP."""
    return [name for name in among if cloud.on(name, WHERE.format(vip=VIP))]


def problems(cloud: Cloud) -> list[str]:
    """Why the clusters are not whole; empty when they are."""
    found = []
    for name in CONTROLLERS:
        if (said := cloud.on(name, GALERA)) != "3,Primary,Synced":
            found.append(f"{name}: Galera says {said}")
        nodes = json.loads(cloud.on(name, RABBIT))["running_nodes"]
        if len(nodes) != len(CONTROLLERS):
            found.append(f"{name}: RabbitMQ runs on {nodes}")
        for db, full in (("nb", "OVN_Northbound"), ("sb", "OVN_Southbound")):
            said = cloud.on(name, OVN.format(db=db, name=full))
            servers = said.partition("Servers:")[2].split("Disconnections")[0]
            if "Status: cluster member" not in said or servers.count(" at ssl:") != 3:
                found.append(f"{name}: {full} is {said}")
        if failed := cloud.on(name, "systemctl --failed --no-legend --plain"):
            found.append(f"{name}: failed: {failed}")
    return found


def wait_whole(cloud: Cloud, seconds: float = BACK) -> None:
    """Wait until every cluster has its three members and the cloud serves."""

    def find() -> list[str]:
        try:
            return problems(cloud)
        except subprocess.CalledProcessError as error:
            return [f"no proper answer yet: {error.stderr}"]

    wait_until_none("problems of the clusters", seconds, find)
    cloud.wait_answers(seconds)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """The cloud with three controllers, whole."""
    found = Cloud(tmp_path, inventory="lab-ha")
    found.must_exist()
    wait_whole(found)
    return found


@pytest.fixture
def client(cloud: Cloud) -> Callable[..., Any]:
    """Run a verb of clients.py inside the lab's network; what it says."""

    def run(verb: str, file: Path, *words: str) -> Any:
        done = subprocess.run(
            command(cloud, verb, file, *words),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


def command(cloud: Cloud, verb: str, file: Path, *words: str) -> list[str]:
    """The command line of a client inside the lab's network."""
    python = [str(ROOT / f".lab/{cloud.name}/python"), "-m", "tests.lab.ha.clients"]
    return [*python, verb, str(ROOT / cloud.operator / "clouds.yaml"), str(file), *words]


@pytest.fixture
def asking(cloud: Cloud, tmp_path: Path) -> Callable[[], AbstractContextManager[dict[str, Any]]]:
    """Have clients ask every API meanwhile; afterwards it has their results."""

    @contextmanager
    def ask() -> Iterator[dict[str, Any]]:
        stop, seen = tmp_path / "stop", tmp_path / "seen"
        stop.unlink(missing_ok=True)
        result: dict[str, Any] = {}
        with seen.open("w") as output:
            process = subprocess.Popen(
                command(cloud, "ask", stop, "3600"), cwd=ROOT, stdout=output, stderr=sys.stderr
            )
        try:
            yield result
        finally:
            stop.touch()
            process.wait(timeout=300)
        result.update(json.loads(seen.read_text()))

    return ask
