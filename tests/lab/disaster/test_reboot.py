"""Hosts shut down cleanly, and come back with all their services without a run of Cairn."""

from __future__ import annotations

import pytest

from tests.lab.deployed import wait_until_none

pytestmark = pytest.mark.lab


@pytest.fixture
def come_back(cloud, drift, lab_hosts):
    """Start all hosts, and return when the cloud answers and every host has what it should have."""

    def start():
        # No order is kept: compute hosts find no controller at first, servers no database.
        cloud.lab("start", *lab_hosts, timeout=1200)
        cloud.wait_answers(900)
        # A unit that was never started has not failed either: the probe knows what should run.
        wait_until_none("drift", 300, drift)

    return start


def test_hosts_shut_down_without_a_power_cut(cloud, lab_hosts, come_back):
    """A service finishes its work before it stops: everything that it needs must still be there.

    The lab names the hosts that had not ended after two minutes, whose power it cut.
    """
    said = cloud.lab("stop", *lab_hosts)
    come_back()
    assert said == ""
    ended = "journalctl --boot=-1 --quiet --grep='timed out. Killing' --no-pager || true"
    killed = {name: cloud.on(name, ended) for name in lab_hosts}
    assert killed == dict.fromkeys(lab_hosts, "")


def test_every_host_comes_back_by_itself_with_all_its_services(cloud, drift, lab_hosts, come_back):
    assert drift() == {}
    cloud.lab("kill", *lab_hosts)
    come_back()
    failed = {name: cloud.on(name, "systemctl --failed --no-legend --plain") for name in lab_hosts}
    assert failed == dict.fromkeys(lab_hosts, "")
    volumes = cloud.openstack("volume", "service", "list")
    assert volumes.returncode == 0, volumes.stderr
    assert " down " not in volumes.stdout
