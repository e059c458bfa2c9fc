"""Power cuts, dead controllers and hosts that are off: the next run ends well, nothing is lost."""

from __future__ import annotations

import json
import signal

import pytest

from tests.deployed import option

pytestmark = pytest.mark.lab

# Not the whole file: what a failed test shows should hold no password.
SIZE = "grep max_param_size /etc/keystone/keystone.conf || true"
KEYSTONE = "/var/lib/cairn/services/keystone"
# How the host itself sees that the moment has come; what ansible prints comes too late.
MOMENTS = {
    "while it stages": f"ls {KEYSTONE}/generations",
    "while it switches": f"readlink {KEYSTONE}/current",
}


@pytest.mark.parametrize(
    ("moment", "value"), [("while it stages", "65"), ("while it switches", "66")]
)
def test_power_fails_in_the_middle_of_a_run(cloud, moment, value):
    seen = cloud.on("controller1", MOMENTS[moment])
    run = cloud.start("playbooks/site.yml", *option(value))
    cloud.until_other("controller1", MOMENTS[moment], seen)
    cloud.lab("kill", "controller1")
    try:
        assert run.wait(timeout=900) != 0, "the run ended before the power was cut"
    finally:
        cloud.lab("start", "controller1")
    cloud.wait_answers()
    code, text = cloud.site(*option(value))
    assert code == 0, text
    assert f"max_param_size = {value}" in cloud.on("controller1", SIZE)
    cloud.wait_answers()


def test_the_controller_process_dies_between_stage_and_switch(cloud):
    before = (
        cloud.generations("controller1"),
        cloud.processes("controller1", "keystone-api.service"),
    )
    run = cloud.start("playbooks/site.yml", *option("67"))
    cloud.until("PLAY [Identity]", run)
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
