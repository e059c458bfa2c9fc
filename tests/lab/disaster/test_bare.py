"""A bare machine loses its power during its first run; the next run completes it."""

from __future__ import annotations

import pytest

from tests.lab.deployed import ROOT

pytestmark = pytest.mark.lab

HOST = "compute2"
# The identity of a compute host; nova refuses a host that has lost it.
IDENTITY = "/var/lib/nova/compute_id"
# dpkg records the state of each package in a file of its own, and merges these at its end.
NOTES = "ls /var/lib/dpkg/updates | grep -c '^[0-9]'"
AMIDST = f'[ "$({NOTES})" -gt 20 ] && echo amidst || echo before'
POLICY = "/usr/sbin/policy-rc.d"


@pytest.fixture
def bare(cloud):
    """A compute host's machine replaced by one with Debian and nothing else."""
    identity = cloud.on(HOST, f"cat {IDENTITY}")
    cloud.lab("kill", HOST)
    for disk in (ROOT / ".lab" / cloud.name / "disks").glob(f"{HOST}.*"):
        disk.unlink()
    cloud.lab("up", HOST, timeout=1200)
    # As on metal, what dpkg has unpacked is on the disk; the lab's machines do without.
    cloud.on(HOST, "rm /etc/dpkg/dpkg.cfg.d/lab")
    return cloud, identity


def test_power_fails_while_debian_packages_are_installed(bare, drift):
    cloud, identity = bare
    run = cloud.start("playbooks/site.yml")
    try:
        cloud.until("Install Debian packages of all services", run)
        cloud.cut_power(HOST, AMIDST, "before", run)
        assert run.wait(timeout=900) != 0, "the run ended before the power was cut"
    finally:
        run.kill()
        cloud.lab("start", HOST)
    assert cloud.on(HOST, f"dpkg --audit; {NOTES} || true") not in ("", "0"), "nothing was cut off"
    code, text = cloud.site()
    assert code == 0, text
    assert cloud.on(HOST, "dpkg --audit") == ""
    # As long as it is there, no package starts its daemons.
    assert cloud.on(HOST, f"cat {POLICY} 2>/dev/null || true") == ""
    # Nova knows it as the same host.
    assert cloud.on(HOST, f"cat {IDENTITY}") == identity
    # All compute services are up, those of this host among them.
    cloud.wait_answers()
    assert drift() == {}
