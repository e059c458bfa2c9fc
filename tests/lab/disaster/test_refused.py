"""Mistakes that are refused with a clear text and leave the running cloud unchanged."""

from __future__ import annotations

import re

import pytest

from cairn.verify.run import wait
from tests.lab.deployed import option

pytestmark = pytest.mark.lab
GENERATIONS = "/var/lib/cairn/services/keystone/generations"
DEAD = "http://198.18.0.1:9/debian"
PURGE = "rabbitmqctl --quiet --vhost /nova purge_queue scheduler.controller1"
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
    printed = cloud.on("controller1", "rabbitmqctl --quiet list_queues --vhost /nova state || true")
    return set(printed.split()) == {"state", "running"}


def queues_fail(cloud):
    """Make a queue write to its log; return whether any queue has failed.

    Purging is logged like everything else, but not blocked for lack of room, as publishing is.
    """
    cloud.on("controller1", f"for i in $(seq 3); do timeout 30 {PURGE} || break; done")
    return not queues_run(cloud)


def test_a_full_disk(cloud):
    cloud.on("controller1", "fallocate -l $(($(df --output=avail -B1 / | tail -1))) /full || true")
    # The last blocks, which only a file that grows takes.
    grow = "runuser --user=nobody -- dd if=/dev/zero of=/var/tmp/full bs=4k 2>/dev/null || true"
    try:
        cloud.on("controller1", grow)
        code, text = cloud.site(*option("96"))
        wait("RabbitMQ to run out of room", 300, lambda: queues_fail(cloud), interval=5)
    finally:
        cloud.on("controller1", "rm -f /full /var/tmp/full")
    assert code
    printed = " ".join(text.split())
    assert re.search(r"controller1: has \d+ MiB free on /; this run needs 1000", printed)
    assert "nothing was touched" in printed
    # Only RabbitMQ does not recover by itself when there is room again.
    wait("all queues running", 300, lambda: queues_run(cloud), interval=5)
    cloud.wait_answers()


@pytest.fixture
def no_room(cloud):
    """A file system of its own for keystone's generations, just large enough for them."""
    filled = "/run/cairn-badday"
    try:
        cloud.on(
            "controller1",
            f"mkdir {filled} && mount -t tmpfs -o size=16m,mode=755 none {filled} && "
            f"cp -a {GENERATIONS}/. {filled}/ && mkdir {filled}/full && "
            f"! dd if=/dev/zero of={filled}/full/up bs=4k 2>/dev/null && "
            f"mount --bind {filled} {GENERATIONS}",
        )
        yield cloud
    finally:
        cloud.on(
            "controller1",
            f"! mountpoint --quiet {GENERATIONS} || umount --lazy {GENERATIONS}; "
            f"! mountpoint --quiet {filled} || umount --lazy {filled}; rmdir {filled}",
        )


def test_room_that_runs_out_while_it_stages(no_room):
    code, text = no_room.site(*option("97"))
    assert code
    printed = " ".join(text.split())
    assert re.search(rf"{GENERATIONS}/\.[0-9a-f]+\.draft/\S+: No space left on device", printed)


@pytest.fixture
def dead_mirror(cloud):
    """The network host without a package of Cairn's, and with package sources that are dead."""
    cloud.on(
        "network1",
        "cp -a /etc/apt /etc/apt.aside && rm -f /etc/apt/sources.list.d/* && "
        f"echo 'deb {DEAD} trixie main' >/etc/apt/sources.list && "
        "dpkg --force-depends --remove curl",
    )
    yield cloud
    cloud.on(
        "network1",
        "rm -rf /etc/apt && mv /etc/apt.aside /etc/apt && apt-get --quiet=2 update && "
        "apt-get --quiet=2 --yes --no-install-recommends install curl",
        timeout=600,
    )


def test_a_package_mirror_that_does_not_answer(dead_mirror):
    before = dead_mirror.generations("network1")
    code, text = dead_mirror.site()
    assert code
    printed = " ".join(text.split())
    # Preflight has only warned of it: a deployed host may need no package.
    assert (
        f"network1: gets no packages from {DEAD}: 198.18.0.1 port 9: Connection refused" in printed
    )
    assert f"package sources that do not answer: {DEAD} (198.18.0.1 port 9: " in printed
    assert dead_mirror.generations("network1") == before


def test_a_misspelt_variable(cloud):
    code, text = cloud.site("-e", "nova_wokers=4")
    assert code
    assert "nova_wokers" in text
    assert "nova_workers" in text
