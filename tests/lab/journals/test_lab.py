"""A working cloud: no unknown complaints in its journals, nothing left of deleted resources.

Comes last, so that it finds what all other tests left (tools/run_tests.py).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.lab.deployed import Cloud, wait_until_none

from . import known, lab

pytestmark = pytest.mark.lab
SECONDS = 180


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    found = Cloud(tmp_path_factory.mktemp("journals"))
    found.must_exist()
    return found


def asked(cloud: Cloud, *words: str) -> list[dict[str, Any]]:
    done = cloud.openstack(*words, "--format", "json")
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def wanted(cloud: Cloud, services: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """What each host should have, as the APIs say."""
    found: dict[str, dict[str, list[str]]] = {}
    where: dict[str, str] = {}
    for server in asked(cloud, "server", "list", "--all-projects", "--long"):
        if not server["Host"]:
            continue
        here = found.setdefault(server["Host"], {"networks": [], "servers": [], "volumes": []})
        here["servers"].append(server["ID"])
        where[server["ID"]] = server["Host"]
        if server["Status"] != "ACTIVE":
            continue  # what does not run has no interface
        for port in asked(cloud, "port", "list", "--server", server["ID"]):
            shown = cloud.openstack("port", "show", port["ID"], "--format", "json")
            here["networks"].append(json.loads(shown.stdout)["network_id"])
    if "cinder" in services:
        for volume in asked(cloud, "volume", "list", "--all-projects", "--long"):
            for one in volume["Attached to"]:
                if host := where.get(one["server_id"]):
                    found[host]["volumes"].append(volume["ID"])
    return found


def test_nothing_is_left_of_what_was_deleted(cloud: Cloud, lab_site: dict[str, Any]) -> None:
    # The agent ends a proxy some seconds after its network's last instance has gone.
    services = lab_site["services"]
    wait_until_none("leftovers", SECONDS, lambda: lab.left(cloud, wanted(cloud, services)))


def test_nobody_complains_in_the_journals(cloud: Cloud, root: Path) -> None:
    # After steps that have searched already, what is new since then.
    report = lab.search_new(cloud)
    saved = root / ".cache" / "tests" / "journals.json"
    saved.parent.mkdir(parents=True, exist_ok=True)
    saved.write_text(json.dumps(known.as_json(report), indent=1))
    assert not report.unknown, f"{report}\n(whole texts: {saved})"
