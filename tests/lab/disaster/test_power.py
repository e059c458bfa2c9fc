"""Power cuts, dead controllers and hosts that are off: the next run succeeds, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.deployed import Cloud, option

pytestmark = pytest.mark.lab

# Not the whole file: the output of a failed test must hold no password.
SIZE = "grep max_param_size /etc/keystone/keystone.conf || true"
NAME = f"cairn-badday-{time.time_ns()}"
# A generation that an earlier test run has staged would not be staged again.
NEVER_STAGED = 1000 + int(time.time()) % 100_000
HEAT = "heat-api heat-api-cfn heat-engine"
SCHEMA = "/var/lib/cairn/records/schema-nova-before"


def current(role: str) -> str:
    """Which generation of a service a host has."""
    return f"readlink /var/lib/cairn/services/{role}/current"


@dataclass(frozen=True)
class Cut:
    """A power cut: of which host, at which moment of a run that changes what, for which file.

    The host itself detects the moment, by a command whose output changes then; Ansible's output
    comes too late.
    """

    host: str
    moment: str
    change: dict[str, Any]
    file: str
    text: str


def configured(role: str, file: str, section: str, **options: Any) -> dict[str, Any]:
    """Variables that set options of a service."""
    return {f"{role}_config": {file: {section: options}}}


CUTS = {
    "controller1-while-it-stages": Cut(
        "controller1",
        "ls --almost-all /var/lib/cairn/services/keystone/generations",
        configured("keystone", "keystone.conf", "DEFAULT", max_param_size=NEVER_STAGED),
        "/etc/keystone/keystone.conf",
        f"max_param_size = {NEVER_STAGED}",
    ),
    "controller1-while-keystone-switches": Cut(
        "controller1",
        current("keystone"),
        configured("keystone", "keystone.conf", "DEFAULT", max_param_size=66),
        "/etc/keystone/keystone.conf",
        "max_param_size = 66",
    ),
    # All of nova's units here restart at once.
    "controller1-while-nova-switches": Cut(
        "controller1",
        current("nova"),
        configured("nova", "nova.conf", "api", max_limit=902),
        "/etc/nova/nova.conf",
        "max_limit = 902",
    ),
    # Only compute hosts have this option.
    "compute1-while-nova-switches": Cut(
        "compute1",
        current("nova"),
        {"nova_cpu_allocation_ratio": 4.5},
        "/etc/nova/nova.conf",
        "initial_cpu_allocation_ratio = 4.5",
    ),
    # At the same time the controller restarts both of OVN's databases.
    "network1-while-ovn-switches": Cut(
        "network1",
        current("ovn"),
        {"ovn_probe_interval": 60001},
        "/etc/cairn/ovn/chassis",
        "ovn-remote-probe-interval=60001",
    ),
    # The lab's own options, one of them another.
    "storage1-while-cinder-switches": Cut(
        "storage1",
        current("cinder"),
        configured("cinder", "cinder.conf", "DEFAULT", service_down_time=180,
                   backend_stats_polling_interval=181),
        "/etc/cinder/cinder.conf",
        "backend_stats_polling_interval = 181",
    ),
    # Only storage hosts have this file.
    "storage1-while-swift-switches": Cut(
        "storage1",
        current("swift"),
        configured("swift", "object-server.conf", "object-auditor", files_per_second=19),
        "/etc/swift/object-server.conf",
        "files_per_second = 19",
    ),
}  # fmt: skip


def must(cloud: Cloud, *words: str) -> str:
    """The output of the operator's openstack command, which has to succeed."""
    done = cloud.openstack(*words)
    assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
    return done.stdout.strip()


def give(cloud: Cloud, name: str, made: Path) -> None:
    """Store an object and then an image in the cloud; their content is also in a file."""
    made.write_bytes(os.urandom(2**20))
    must(cloud, "container", "create", name)
    must(cloud, "object", "create", name, str(made), "--name=made")
    must(cloud, "image", "create", f"--file={made}", name)


def still_there(cloud: Cloud, name: str, made: Path, back: Path) -> None:
    """The cloud gives back what it was given."""
    for words in (("image", "save", name), ("object", "save", name, "made")):
        back.unlink(missing_ok=True)
        must(cloud, *words, f"--file={back}")
        assert back.read_bytes() == made.read_bytes(), words


def take_away(cloud: Cloud, name: str) -> None:
    """Remove what the cloud was given."""
    must(cloud, "object", "delete", name, "made")
    must(cloud, "container", "delete", name)
    must(cloud, "image", "delete", name)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A function that fails unless an image and an object made before are unchanged."""
    folder = tmp_path_factory.mktemp("kept")
    cloud = Cloud(folder, lab=os.environ.get("CAIRN_LAB"))
    cloud.wait_answers(300)
    made, back = folder / "made", folder / "back"
    give(cloud, NAME, made)
    yield lambda: still_there(cloud, NAME, made, back)
    take_away(cloud, NAME)


def cut_off(cloud: Cloud, host: str, moment: str, *words: str, without: Sequence[str] = ()) -> None:
    """Start a run, cut a host's power at the moment; when the run has failed, power is back.

    Then the cloud answers, except APIs of the types `without`.
    """
    seen = cloud.on(host, moment)
    run = cloud.start("playbooks/site.yml", *words)
    try:
        cloud.cut_power(host, moment, seen, run)
        assert run.wait(timeout=900) != 0, "the run ended before the power was cut"
    finally:
        run.kill()
        cloud.lab("start", host)
    cloud.wait_answers(without=without)


@pytest.mark.parametrize("case", CUTS)
def test_power_fails_in_the_middle_of_a_run(cloud, kept, drift, case):
    cut = CUTS[case]
    words = ("-e", json.dumps(cut.change))
    # The last thing that the cloud promised before.
    network = f"{NAME}-{case}"
    must(cloud, "network", "create", network)
    cut_off(cloud, cut.host, cut.moment, *words)
    code, text = cloud.site(*words)
    assert code == 0, text
    assert cloud.on(cut.host, f"grep -cF '{cut.text}' {cut.file} || true") != "0"
    cloud.wait_answers()
    assert drift() == {}
    must(cloud, "network", "delete", network)
    kept()


def test_what_the_cloud_has_only_just_taken_outlives_a_power_cut(cloud, tmp_path):
    made, back = tmp_path / "made", tmp_path / "back"
    name = f"{NAME}-just"
    give(cloud, name, made)
    for host in ("controller1", "storage1"):
        cloud.lab("kill", host)
    for host in ("controller1", "storage1"):
        cloud.lab("start", host)
    cloud.wait_answers()
    still_there(cloud, name, made, back)
    take_away(cloud, name)


def test_power_fails_while_a_schema_is_moved(cloud, kept):
    recorded = cloud.on("controller1", f"cat {SCHEMA}")
    # Without it a run has nova's schema moved by the code that moved it already.
    cloud.on("controller1", f"rm {SCHEMA}")
    cut_off(cloud, "controller1", "pgrep -f '[n]ova-manage.*db sync' || true")
    assert cloud.on("controller1", f"cat {SCHEMA} 2>/dev/null || true") == ""
    code, text = cloud.site()
    assert code == 0, text
    assert cloud.on("controller1", f"cat {SCHEMA}") == recorded
    cloud.wait_answers()
    kept()


@pytest.fixture
def heat_without_tables(cloud):
    """Heat as before its first migration: without tables; it must have had no stacks."""
    # Heat lets nobody see the stacks of all projects.
    stacks = "SELECT id FROM heat.stack WHERE deleted_at IS NULL"
    rows = cloud.on("controller1", f"mariadb -BN -e '{stacks}'")
    assert rows == "", "there are stacks, which would be lost"
    cloud.on("controller1", f"systemctl stop {HEAT}")
    cloud.on(
        "controller1", "mariadb -e 'DROP DATABASE heat; CREATE DATABASE heat CHARACTER SET utf8mb4'"
    )
    cloud.on("controller1", "rm /var/lib/cairn/records/schema-heat-before")


def test_power_fails_while_tables_are_made_for_the_first_time(cloud, kept, heat_without_tables):
    some = "[ $(ls /var/lib/mysql/heat | grep -c '[.]ibd$') -gt 3 ] && echo some || echo few"
    cut_off(cloud, "controller1", some, without=("orchestration", "cloudformation"))
    left = cloud.on("controller1", "mariadb -BN -e 'SHOW TABLES IN heat'").split()
    assert "cairn_first_schema" in left, "the migration had ended before the power was cut"
    assert len(left) > 1, "the power was cut before there was a table"
    code, text = cloud.site()
    assert code == 0, text
    assert "cairn_first_schema" not in cloud.on(
        "controller1", "mariadb -BN -e 'SHOW TABLES IN heat'"
    )
    cloud.wait_answers()
    kept()


def test_the_controller_process_dies_between_stage_and_switch(cloud):
    before = (
        cloud.generations("controller1"),
        cloud.processes("controller1", "keystone-api.service"),
    )
    run = cloud.start("playbooks/site.yml", *option("67"))
    cloud.until("PLAY [Keystone: controllers]", run)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert cloud.problems() == []
    after = cloud.generations("controller1"), cloud.processes("controller1", "keystone-api.service")
    assert after == before
    # What an unrelated restart picks up is the old configuration, whole.
    cloud.on("controller1", "systemctl restart keystone-api")
    assert "max_param_size = 67" not in cloud.on("controller1", SIZE)
    cloud.wait_answers()


def test_a_compute_host_that_is_off_is_named_and_the_others_go_on(cloud):
    cloud.lab("kill", "compute2")
    try:
        code, text = cloud.site(*option("68"))
    finally:
        cloud.lab("start", "compute2")
    assert code != 0
    assert "compute2" in text
    assert "left out" in text
    assert "max_param_size = 68" in cloud.on("controller1", SIZE)
    cloud.wait_answers()


def test_a_controller_that_is_off_stops_the_run_before_anything_is_touched(cloud):
    before = cloud.generations("compute1")
    debugging = {"nova_config": {"nova.conf": {"DEFAULT": {"debug": True}}}}
    cloud.lab("kill", "controller1")
    try:
        code, text = cloud.site("-e", json.dumps(debugging))
    finally:
        cloud.lab("start", "controller1")
    assert code != 0
    assert "controller1" in text
    assert cloud.generations("compute1") == before
    cloud.wait_answers()


def test_afterwards_a_run_brings_the_inventorys_state_and_a_second_changes_nothing(cloud):
    code, text = cloud.site()
    assert code == 0, text
    code, text = cloud.site()
    assert code == 0, text
    hosts = cloud.figures()["hosts"]
    assert {name: host["changed"] for name, host in hosts.items() if host["changed"]} == {}
