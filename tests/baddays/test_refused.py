"""Things that are refused with a clear text, and leave the running cloud as it was."""

from __future__ import annotations

import re

import pytest
from cairn.proof_cloud import wait

from tests.deployed import option

pytestmark = pytest.mark.lab
UNITS = ("keystone-api.service", "nova-api.service", "neutron-api.service", "mariadb.service")


@pytest.fixture(autouse=True)
def untouched(cloud):
    """Whatever a test of this file does, nothing that runs has changed after it."""
    before = cloud.generations("controller1"), cloud.processes("controller1", *UNITS)
    yield
    assert (cloud.generations("controller1"), cloud.processes("controller1", *UNITS)) == before
    assert cloud.problems() == []


def test_a_wrong_vault_password(cloud, tmp_path):
    wrong = tmp_path / "password"
    wrong.write_text("not the one\n")
    code, text = cloud.site(environment={"CAIRN_VAULT_PASSWORD_FILE": str(wrong)})
    assert code
    assert "group_vars/all/secrets.yml: the vault password does not open it" in text
    assert str(wrong) in text


def test_a_lock_with_a_wrong_hash(cloud, copy):
    tree = copy()
    lock = tree / "releases" / "2026.1" / "placement.lock"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lock.read_text()))
    code, text = cloud.site(tree=tree)
    assert code
    assert re.search(r"installing placement-[0-9a-f]{12} from its lock failed", text)
    assert "hash mismatch" in text.lower()


def test_a_package_index_that_does_not_answer(cloud, copy):
    tree = copy()
    lock = tree / "releases" / "2026.1" / "placement.lock"
    lock.write_text(lock.read_text() + "\n# another virtualenv, please\n")
    cloud.on(
        "controller1",
        "mkdir -p /var/cache/cairn/uv && mv /var/cache/cairn/uv /var/cache/cairn/uv.aside",
    )
    try:
        code, text = cloud.site("-e", "cairn_pypi_index=http://198.18.0.1:9/simple", tree=tree)
    finally:
        cloud.on(
            "controller1",
            "rm -rf /var/cache/cairn/uv; mv /var/cache/cairn/uv.aside /var/cache/cairn/uv",
        )
    assert code
    assert re.search(r"installing placement-[0-9a-f]{12} from its lock failed", text)
    assert "198.18.0.1:9" in text


def test_an_option_that_the_code_does_not_know(cloud):
    bad = '{"keystone_config": {"keystone.conf": {"token": {"expiraton": 60}}}}'
    code, text = cloud.site("-e", bad)
    assert code
    assert "keystone: the new configuration is refused, nothing was changed" in text
    assert "expiraton" in text


def queues_run(cloud):
    """Whether nova's queues are served, every one."""
    told = cloud.on("controller1", "rabbitmqctl --quiet list_queues --vhost /nova state || true")
    return set(told.split()) == {"state", "running"}


def test_a_full_disk(cloud):
    cloud.on("controller1", "fallocate -l $(($(df --output=avail -B1 / | tail -1))) /full || true")
    # The last blocks, which only a file that grows takes.
    grow = "runuser --user=nobody -- dd if=/dev/zero of=/var/tmp/full bs=4k 2>/dev/null || true"
    try:
        cloud.on("controller1", grow)
        code, text = cloud.site(*option("96"))
        wait("RabbitMQ to run out of room", 120, lambda: not queues_run(cloud), interval=5)
    finally:
        cloud.on("controller1", "rm -f /full /var/tmp/full")
    assert code
    assert re.search(r"[Nn]o space left on device|disk", text)
    # RabbitMQ alone does not go on by itself when there is room again.
    wait("all queues running", 300, lambda: queues_run(cloud), interval=5)
    cloud.wait_answers()


def test_a_misspelt_variable(cloud):
    code, text = cloud.site("-e", "nova_wokers=4")
    assert code
    assert "nova_wokers" in text
    assert "nova_workers" in text
