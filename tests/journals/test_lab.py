"""A cloud that seems well: nobody complains in its journals, nothing is left of what was deleted.

Comes last in `make test`, so that it hears of all that the other tests did (tools/run_tests.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deployed import Cloud, wait_until_none

from . import complaints, lab

pytestmark = pytest.mark.lab
SECONDS = 180


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    found = Cloud(tmp_path_factory.mktemp("journals"))
    found.must_exist()
    return found


def asked(cloud: Cloud, *words: str) -> list[dict[str, str]]:
    done = cloud.openstack(*words, "--format", "json")
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, str]] = json.loads(done.stdout)
    return answer


def wanted(cloud: Cloud) -> dict[str, dict[str, list[str]]]:
    """What each host should have, as the APIs say."""
    found: dict[str, dict[str, list[str]]] = {}
    attached: dict[str, str] = {}
    for server in asked(cloud, "server", "list", "--all-projects", "--long"):
        if not server["Host"]:
            continue
        of = found.setdefault(server["Host"], {"networks": [], "servers": [], "volumes": []})
        of["servers"].append(server["ID"])
        attached[server["ID"]] = server["Host"]
        for port in asked(cloud, "port", "list", "--server", server["ID"], "--long"):
            details = cloud.openstack("port", "show", port["ID"], "--format", "json")
            of["networks"].append(json.loads(details.stdout)["network_id"])
    for volume in asked(cloud, "volume", "list", "--all-projects", "--long"):
        for one in volume["Attached to"]:
            server_id = one["server_id"]  # type: ignore[index]
            if server_id in attached:
                found[attached[server_id]]["volumes"].append(volume["ID"])
    return found


def test_nothing_is_left_of_what_was_deleted(cloud: Cloud) -> None:
    # The agent ends a proxy some seconds after its network's last instance has gone.
    wait_until_none("leftovers", SECONDS, lambda: lab.left(cloud, wanted(cloud)))


def test_nobody_complains_in_the_journals(cloud: Cloud, root: Path) -> None:
    report = lab.search(cloud, lab.since(cloud.name))
    told = root / ".cache" / "tests" / "journals.json"
    told.parent.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps(complaints.as_json(report), indent=1))
    assert not report.unknown, f"{report}\n(whole texts: {told})"
    if lab.since(cloud.name):
        stale = [f"{entry.unit}: {entry.pattern.pattern}" for entry in report.stale]
        assert not stale, f"known.yml has what nobody says any more: {stale}"
