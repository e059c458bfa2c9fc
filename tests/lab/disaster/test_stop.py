"""nova-compute stops once it has finished its work, or at once if it has none."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.verify.run import wait
from tests.lab.deployed import ROOT, Cloud

pytestmark = pytest.mark.lab

GUEST = str(Path(__file__).with_name("guest.py"))
LIST = ("server", "list", "--all-projects", "--long", "-f", "json")


def restart(cloud: Cloud, host: str) -> tuple[str, float]:
    """Restart nova-compute; what its unit said meanwhile, and the seconds that it took."""
    began = time.monotonic()
    cursor = cloud.on(host, "date +%s")
    cloud.on(host, "systemctl restart nova-compute", timeout=400)
    seconds = time.monotonic() - began
    said = cloud.on(host, f"journalctl -u nova-compute --since @{cursor} -o cat --no-pager")
    return said, seconds


@pytest.fixture
def start(python: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An instance on a volume that is being created."""
    command = [python, GUEST, str(tmp_path / "run.json")]
    with subprocess.Popen(
        [*command, "start"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.wait(900)
            subprocess.run([*command, "stop"], cwd=ROOT, check=True, timeout=900)


def test_where_nothing_goes_on_it_stops_at_once(cloud: Cloud) -> None:
    said, seconds = restart(cloud, "compute1")
    assert "no work on this host: stopping" in said
    assert seconds < 60  # it would sleep for almost three minutes
    _said, seconds = restart(cloud, "compute1")  # it has only just been started
    assert seconds < 60
    assert cloud.on("compute1", "systemctl is-active nova-compute") == "active"
    cloud.wait_answers()


def test_an_instance_that_is_being_built_is_finished(
    cloud: Cloud, start: subprocess.Popen[str]
) -> None:
    def building() -> list[dict[str, str]]:
        assert start.poll() is None, start.communicate()[0]
        done = cloud.openstack(*LIST)
        assert done.returncode == 0, done.stderr
        return [one for one in json.loads(done.stdout) if one["Status"] == "BUILD" and one["Host"]]

    (instance,) = wait("an instance that is being built", 600, building, 1)
    said, _seconds = restart(cloud, instance["Host"])
    assert f"waiting for {instance['ID']}" in said
    out, _ = start.communicate(timeout=900)
    assert start.returncode == 0, out  # it has booted and serves
    cloud.wait_answers()
