"""Settings of every managed host."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = [
    f"ansible://{group}" for group in ("controller", "network", "compute", "storage")
]


def test_the_host_is_called_what_the_inventory_calls_it(host: Any, site: Any) -> None:
    assert host.check_output("hostname") == site.name
    assert host.file("/etc/hostname").content_string.strip() == site.name


def test_its_own_name_means_the_management_address(host: Any, site: Any) -> None:
    found = host.check_output(f"getent ahostsv4 {site.name}").split()
    assert found[0] == site.address("management")


def test_cloud_init_would_leave_it_so(host: Any) -> None:
    text = host.file("/etc/cloud/cloud.cfg.d/zz-cairn.cfg").content_string
    assert "manage_etc_hosts: false" in text
    assert "preserve_hostname: true" in text


def test_the_journal_survives_a_reboot(host: Any) -> None:
    machine = host.file("/etc/machine-id").content_string.strip()
    assert host.file(f"/var/log/journal/{machine}").is_directory


@pytest.mark.parametrize(
    ("key", "value"),
    [("kernel.panic", 30), ("vm.swappiness", 10), ("net.ipv4.tcp_keepalive_time", 30)],
    ids=lambda v: str(v),
)
def test_the_kernel_has_the_settings(host: Any, key: str, value: int) -> None:
    assert host.sysctl(key) == value


def test_no_unit_has_failed(host: Any) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
