"""The power of all hosts fails: each comes back with all that it ran, without a run of Cairn's."""

from __future__ import annotations

import pytest

from tests.deployed import wait_until_none

pytestmark = pytest.mark.lab


def test_every_host_comes_back_by_itself_with_all_its_services(cloud, drift, lab_hosts):
    assert drift() == {}
    cloud.lab("kill", *lab_hosts)
    # No order is kept: compute hosts find no controller at first, servers no database.
    cloud.lab("start", *lab_hosts, timeout=1200)
    cloud.wait_answers(900)
    # A unit that was never started has not failed either: the probe knows which ones should run.
    wait_until_none("drift", 300, drift)
    failed = {name: cloud.on(name, "systemctl --failed --no-legend --plain") for name in lab_hosts}
    assert failed == dict.fromkeys(lab_hosts, "")
    volumes = cloud.openstack("volume", "service", "list")
    assert volumes.returncode == 0, volumes.stderr
    assert " down " not in volumes.stdout
