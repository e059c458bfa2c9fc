"""Ceilometer on controllers and compute hosts."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://controller", "ansible://compute"]

CURRENT = "/var/lib/cairn/services/ceilometer/current"


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs(
        controller=("ceilometer-notification", "ceilometer-central"),
        compute=("ceilometer-compute",),
    )


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/ceilometer/ceilometer.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "ceilometer", 0o640)


def test_notifications_and_samples_are_being_fetched(fetched: Any, on: Any) -> None:
    on("controller")
    fetched("/ceilometer", "notifications.info", "notifications.error", "notifications.sample")


def test_what_nobody_fetches_is_bounded(host: Any, on: Any) -> None:
    on("controller")
    listed = host.check_output("rabbitmqctl --quiet list_queues --vhost /ceilometer name policy")
    policies = dict(line.split("\t") for line in listed.splitlines()[1:])
    assert policies["notifications.info"] == "notifications"
    assert policies["notifications.sample"] == "notifications"


def test_the_central_agent_polls_where_the_internal_vip_is(host: Any, on: Any, site: Any) -> None:
    on("controller")
    here = bool(host.check_output("ip -oneline address show to %s", site.vip("internal")))
    polling = host.run("pgrep --full '^ceilometer-polling: master process .* central'")
    assert (polling.rc == 0) is here


def test_the_compute_agent_may_look_at_instances(host: Any, on: Any) -> None:
    on("compute")
    look = "import libvirt; print(len(libvirt.openReadOnly('qemu:///system').listAllDomains()))"
    # As in the unit: with libvirt's group.
    asked = host.run(
        "setpriv --reuid=ceilometer --regid=ceilometer --groups=libvirt %s -c %s",
        f"{CURRENT}/venv/bin/python",
        look,
    )
    assert asked.stdout.strip().isdigit(), asked.stderr


@pytest.mark.parametrize("word", ["mysql", "gnocchi://"])
def test_a_compute_host_knows_neither_a_database_nor_gnocchi(host: Any, on: Any, word: str) -> None:
    on("compute")
    assert host.run("grep --recursive --quiet -- %s %s/etc/", word, CURRENT).rc == 1
