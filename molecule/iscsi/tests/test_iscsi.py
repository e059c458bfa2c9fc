"""iSCSI initiators of compute and storage hosts."""

from __future__ import annotations

import re
from typing import Any

testinfra_hosts = ["ansible://compute", "ansible://storage"]
NAME = re.compile(r"^InitiatorName=(iqn\.\S+)$", re.M)
known: dict[str, str] = {}


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("iscsid")


def test_the_host_has_a_name_that_no_other_has(host: Any, site: Any) -> None:
    found = NAME.search(host.file("/etc/iscsi/initiatorname.iscsi").content_string)
    assert found
    assert known.setdefault(found[1], site.name) == site.name


def test_passwords_of_volumes_are_roots_alone(host: Any) -> None:
    assert host.file("/etc/iscsi/iscsid.conf").mode == 0o600


def test_io_of_a_lost_target_waits(host: Any, site: Any) -> None:
    several = site.setting("iscsi_multipath", False)
    seconds = site.setting("iscsi_replacement_seconds", 15 if several else -1)
    settings = host.file("/etc/iscsi/iscsid.conf").content_string
    assert f"replacement_timeout = {seconds}\n" in settings
    if several:
        known = host.check_output("multipath -t")
        assert 'protocol "scsi:iscsi"' in known
        assert 'no_path_retry "queue"' in known.rpartition("overrides {")[2]
