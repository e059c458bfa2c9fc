"""Rollbacks, by hand and after a failed switch."""

from __future__ import annotations

import json

import pytest

from tests.lab.deployed import option

pytestmark = pytest.mark.lab


def test_rollback_returns_the_service_to_its_previous_generation(cloud):
    before = cloud.on("controller1", "readlink /var/lib/cairn/services/keystone/current")
    code, text = cloud.site(*option("70"))
    assert code == 0, text
    code, text = cloud.run("playbooks/rollback.yml", "-e", "service=keystone")
    assert code == 0, text
    after = cloud.on("controller1", "readlink /var/lib/cairn/services/keystone/current")
    assert after == before
    cloud.wait_answers()


def test_systemd_runs_what_a_units_file_says_before_and_after_going_back(cloud):
    # The number of days is in the command of a unit, whose file keeps its path when it changes.
    command = "systemctl show --property=ExecStart,NeedDaemonReload heat-purge.service"
    code, text = cloud.run("playbooks/role.yml", "-e", "role=heat", "-e", "heat_purge_days=17")
    assert code == 0, text
    changed = cloud.on("controller1", command)
    assert "purge_deleted 17 " in changed
    code, text = cloud.run("playbooks/rollback.yml", "-e", "service=heat")
    assert code == 0, text
    after = cloud.on("controller1", command)
    assert "NeedDaemonReload=no" in changed
    assert "NeedDaemonReload=no" in after
    assert "purge_deleted 17 " not in after
    cloud.wait_answers()


def test_rolling_back_what_does_not_exist_is_refused(cloud):
    code, text = cloud.run("playbooks/rollback.yml", "-e", "service=nosuch")
    assert code
    assert "No host has a previous generation of nosuch" in text


def test_a_service_that_does_not_get_well_returns_by_itself(cloud):
    before = cloud.on("controller1", "readlink /var/lib/cairn/services/placement/current")
    # Valid for the validator, deadly for the service: a database that is not there.
    gone = {
        "placement_config": {
            "placement.conf": {
                "placement_database": {
                    "connection": "mysql+pymysql://placement:x@198.18.0.9/placement?connect_timeout=2"
                }
            }
        }
    }
    code, text = cloud.site("-e", json.dumps(gone))
    assert code
    assert "the service runs" in text or "schema step" in text
    after = cloud.on("controller1", "readlink /var/lib/cairn/services/placement/current")
    assert after == before
    cloud.wait_answers()
