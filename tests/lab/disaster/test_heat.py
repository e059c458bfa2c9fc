"""Heat is down: nothing else fails, requests for stacks get an error, the next run repairs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial

import pytest

from .conftest import INVENTORY

pytestmark = pytest.mark.lab
UNITS = ("heat-api", "heat-api-cfn", "heat-engine")
OTHERS = ("keystone-api.service", "nova-api.service", "neutron-api.service")
ASK = "import openstack; list(openstack.connect(cloud='cairn').{}())"


@pytest.fixture
def ask(python: str) -> Callable[[str], str]:
    """Return a function that asks the cloud by its SDK; what went wrong, or an empty text."""
    return partial(asked, python)


def asked(python: str, what: str) -> str:
    """What went wrong when the cloud was asked by its SDK, or an empty text."""
    done = subprocess.run(
        [python, "-c", ASK.format(what)],
        env={**os.environ, "OS_CLIENT_CONFIG_FILE": str(INVENTORY / ".operator/clouds.yaml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stderr if done.returncode else ""


@pytest.fixture
def without_heat(cloud):
    """The cloud with heat's units stopped; they run afterwards, whatever the test did."""
    cloud.on("controller1", f"systemctl stop {' '.join(UNITS)}")
    yield cloud
    cloud.on("controller1", f"systemctl start {' '.join(UNITS)}")


def test_heat_is_down_and_the_next_run_starts_it(without_heat, ask):
    cloud = without_heat
    assert "503" in ask("orchestration.stacks")
    for what in ("compute.servers", "network.networks", "image.images", "identity.projects"):
        assert ask(what) == ""
    assert cloud.problems("orchestration", "cloudformation") == []
    before = cloud.processes("controller1", *OTHERS)
    code, text = cloud.run("playbooks/role.yml", "-e", "role=heat")
    assert code == 0, text
    assert cloud.on("controller1", f"systemctl is-active {' '.join(UNITS)}").split() == [
        "active"
    ] * len(UNITS)
    assert ask("orchestration.stacks") == ""
    assert cloud.processes("controller1", *OTHERS) == before
