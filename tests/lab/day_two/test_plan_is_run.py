"""Plan and run agree on the lab's cloud: the run does what `--check` reported.

Every change is planned and made, and both last-run.json are compared. All changes are cheap, and
each is undone, which is planned and compared as well: the lab ends as it was. The project is a
copy, whose roles a test may change.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.report import ACTIONS, plan_differences
from tests.lab.deployed import ROOT, Cloud, work

pytestmark = pytest.mark.lab

HOST = "controller1"
SITE, ROLLBACK, ONE_ROLE = (f"playbooks/{name}.yml" for name in ("site", "rollback", "role"))
NEW = "planprobe"
# A value that no kept generation of the lab has: it has to be staged.
NUMBER = 5000 + int(time.time()) % 1000
SLEEPER = {"command": "/usr/bin/sleep infinity", "config_files": ["/etc/cairn-plan.conf"]}
MOUNT = {"what": "tmpfs", "where": "/mnt/cairnplan", "type": "tmpfs", "options": "size=1m"}


@dataclass
class Lab:
    """The cloud, and a copy of the project by which it is planned and changed."""

    cloud: Cloud
    tree: Path
    reports: list[dict[str, Any]] = field(default_factory=list)

    def report(self, playbook: str, *words: str) -> dict[str, Any]:
        """Run a playbook that has to succeed; its report."""
        code, text = self.cloud.run(playbook, *words, tree=self.tree)
        assert code == 0, text[-6000:]
        found: dict[str, Any] = json.loads((self.tree / ".cache/last-run.json").read_text())
        return found

    def same(self, playbook: str = SITE, *words: str) -> dict[str, Any]:
        """Plan, then run; return what the run did. Fails if they differ."""
        before = self.cloud.generations(HOST)
        plan = self.report(playbook, "--check", "--diff", *words)
        assert plan["check"]
        assert self.cloud.generations(HOST) == before, "a plan changes nothing"
        run = self.report(playbook, *words)
        assert not run["check"]
        assert plan_differences(plan, run) == []
        return run

    def quiet(self) -> None:
        """Another run has nothing to do on any host."""
        assert work(self.report(SITE)) == {}

    def describe(self, role: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change a role's description in the copy, starting from the project's own."""
        described = yaml.safe_load((ROOT / f"roles/{role}/vars/main.yml").read_text())
        change(described[f"{role}_service"])
        place = self.tree / f"roles/{role}/vars/main.yml"
        place.write_text(yaml.safe_dump(described, sort_keys=False))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab, on which a run has nothing to do before and after these tests."""
    scratch = tmp_path_factory.mktemp("plan")
    cloud = Cloud(scratch, lab=os.environ.get("CAIRN_LAB"))
    cloud.must_exist()
    tree = scratch / "tree"
    ignored = shutil.ignore_patterns(".git", ".venv", ".lab", ".cache", "__pycache__")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=ignored)
    (tree / ".lab").symlink_to(ROOT / ".lab")
    found = Lab(cloud, tree)
    found.report(SITE)
    found.quiet()
    before = cloud.generations(HOST)
    yield found
    found.report(SITE)
    found.quiet()
    assert cloud.generations(HOST) == before
    shutil.rmtree(tree, ignore_errors=True)


@pytest.fixture
def described(lab: Lab) -> Iterator[Callable[..., None]]:
    """Change the description of memcached; undone at the end, which is planned and compared too."""
    yield lambda change: lab.describe("memcached", change)
    lab.describe("memcached", lambda _: None)
    lab.same()


def extra(**variables: Any) -> list[str]:
    """Arguments that set variables for one run."""
    return ["-e", json.dumps(variables)]


def test_an_option_and_its_rollback(lab: Lab) -> None:
    done = lab.same(SITE, *extra(memcached_connections=NUMBER))["hosts"][HOST]
    assert done["restarted"] == ["memcached.service"]
    back = lab.same(ROLLBACK, *extra(service="memcached"))["hosts"][HOST]
    assert back["restarted"] == ["memcached.service"]
    lab.quiet()


def test_an_option_of_a_unit_that_only_reloads(lab: Lab) -> None:
    done = lab.same(SITE, *extra(loadbalancer_max_connections=NUMBER))["hosts"][HOST]
    assert "haproxy.service" in done["reloaded"]
    assert "haproxy.service" not in done["restarted"]
    assert "haproxy.service" in lab.same()["hosts"][HOST]["reloaded"]


def test_a_drop_in(lab: Lab, described: Callable[..., None]) -> None:
    described(lambda d: d["units"]["memcached"]["dropin"]["Service"].update(RestartSec=3))
    assert lab.same()["hosts"][HOST]["restarted"] == ["memcached.service"]
    lab.quiet()


def test_a_file_a_unit_and_a_mount_come_change_stop_and_go(
    lab: Lab, described: Callable[..., None]
) -> None:
    def with_more(state: str, mode: str) -> Callable[[dict[str, Any]], None]:
        def change(description: dict[str, Any]) -> None:
            file = {"path": "/etc/cairn-plan.conf", "content": "one\n", "mode": mode}
            description["files"].append(file)
            description["units"]["cairn-plan"] = {**SLEEPER, "state": state}
            description["mounts"] = [MOUNT]

        return change

    described(with_more("started", "0644"))
    come = lab.same()["hosts"][HOST]
    assert sorted(come["restarted"]) == ["cairn-plan.service", "mnt-cairnplan.mount"]
    assert lab.cloud.on(HOST, "findmnt --noheadings --output FSTYPE /mnt/cairnplan") == "tmpfs"

    described(with_more("started", "0600"))
    mode = lab.same()["hosts"][HOST]
    assert all(mode[key] == [] for key in ACTIONS), "a mode restarts nothing"
    assert lab.cloud.on(HOST, "stat --format %a /etc/cairn-plan.conf") == "600"

    described(with_more("stopped", "0600"))
    assert lab.same()["hosts"][HOST]["stopped"] == ["cairn-plan.service"]

    described(lambda _: None)
    gone = lab.same()["hosts"][HOST]["removed"]
    assert sorted(gone) == [
        "file /etc/cairn-plan.conf",
        "unit cairn-plan.service",
        "unit mnt-cairnplan.mount",
    ]
    lab.cloud.on(HOST, "! findmnt /mnt/cairnplan && test ! -e /etc/cairn-plan.conf")


def test_a_new_service(lab: Lab) -> None:
    role = lab.tree / "roles" / NEW
    for folder in ("vars", "tasks", "meta"):
        (role / folder).mkdir(parents=True)
    unit = {"command": "/usr/bin/sleep infinity"}
    file = {"path": f"{NEW}.conf", "content": "one\n"}
    service = {
        "summary": "Plan probe",
        "groups": ["controller"],
        "files": [file],
        "units": {NEW: unit},
    }
    (role / "vars/main.yml").write_text(yaml.safe_dump({f"{NEW}_service": service}))
    task = {
        "name": "Run the staged generation",
        "ansible.builtin.include_role": {"name": "service"},
        "vars": {"service_name": NEW},
    }
    (role / "tasks/main.yml").write_text(yaml.safe_dump([task]))
    spec = {"argument_specs": {"main": {"short_description": "A probe", "options": {}}}}
    (role / "meta/argument_specs.yml").write_text(yaml.safe_dump(spec))
    try:
        done = lab.same(ONE_ROLE, *extra(role=NEW))["hosts"][HOST]
        assert done["restarted"] == [f"{NEW}.service"]
        assert list(done["generations"]) == [NEW]
        assert lab.same(ONE_ROLE, *extra(role=NEW))["hosts"][HOST]["changed"] == []
    finally:
        shutil.rmtree(role)
        inventory = yaml.safe_load((lab.tree / lab.cloud.inventory / "hosts.yml").read_text())
        for host in inventory["all"]["children"]["controller"]["hosts"]:
            lab.cloud.on(
                host,
                f"systemctl disable --now {NEW} || true; rm -rf /etc/{NEW} "
                f"/etc/systemd/system/{NEW}.service /var/lib/cairn/services/{NEW}; "
                "systemctl daemon-reload",
            )


HAND = "by-hand"
EDITS = {
    # What is changed by hand as root, and what the run reports of it.
    "a file, and its unit restarts": (
        f"echo '# {HAND}' >>/etc/memcached.conf",
        {"restarted": ["memcached.service"], "mended": ["/etc/memcached.conf"]},
    ),
    "a file, and its unit reloads": (
        f"echo '# {HAND}' >>/etc/haproxy/haproxy.cfg",
        {"reloaded": ["haproxy.service"], "mended": ["/etc/haproxy/haproxy.cfg"]},
    ),
    "a file of a generation, and one that was added": (
        f"echo '# {HAND}' >>/etc/placement/placement.conf; echo {HAND} >/etc/placement/{HAND}.conf",
        {"mended": ["/etc/placement/placement.conf", f"/etc/placement/{HAND}.conf"]},
    ),
    "a drop-in": (
        f"echo '# {HAND}' >>/etc/systemd/system/memcached.service.d/90-cairn.conf; "
        "systemctl daemon-reload",
        {"restarted": ["memcached.service"], "mended": ["drop-in of memcached.service"]},
    ),
    "modes and owners": (
        "chmod 666 /etc/memcached.conf; chown nobody /etc/placement/placement.conf",
        {"restarted": [], "mended": ["/etc/memcached.conf", "/etc/placement/placement.conf"]},
    ),
    "a unit that was stopped": (
        "systemctl disable --now --quiet memcached",
        {"restarted": ["memcached.service"], "mended": []},
    ),
    "a file that was removed": (
        "rm /etc/memcached.conf",
        {"restarted": ["memcached.service"], "mended": ["/etc/memcached.conf"]},
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_what_was_changed_by_hand_is_planned_and_mended(lab: Lab, what: str) -> None:
    command, expected = EDITS[what]
    lab.cloud.on(HOST, command)
    done = lab.same()["hosts"][HOST]
    assert {key: sorted(done[key]) for key in expected} == {
        k: sorted(v) for k, v in expected.items()
    }
    lab.quiet()
    left = f"grep --recursive --files-with-matches '{HAND}' /etc/memcached.conf /etc/haproxy"
    lab.cloud.on(HOST, f"! {left} /etc/placement/ /etc/systemd/system/memcached.service.d")
    assert lab.cloud.on(HOST, "stat --format %a:%U /etc/memcached.conf") == "644:root"
    assert lab.cloud.on(HOST, "systemctl is-active memcached haproxy").split() == 2 * ["active"]


def test_a_unit_of_cairns_that_was_edited(lab: Lab) -> None:
    units = "/var/lib/cairn/services/placement/current/units"
    unit = lab.cloud.on(HOST, f"ls {units} | head -1")
    lab.cloud.on(HOST, f"echo '# {HAND}' >>{units}/{unit}; systemctl daemon-reload")
    done = lab.same()["hosts"][HOST]
    assert unit in done["restarted"]
    assert f"unit {unit}" in done["mended"]
    lab.cloud.on(HOST, f"! grep '{HAND}' {units}/{unit}")
    lab.quiet()


def test_an_edit_does_not_come_back_by_a_rollback(lab: Lab) -> None:
    lab.cloud.on(HOST, f"echo '# {HAND}' >>/etc/memcached.conf")
    lab.same(SITE, *extra(memcached_connections=NUMBER + 1))
    lab.same(ROLLBACK, *extra(service="memcached"))
    lab.cloud.on(HOST, f"! grep '{HAND}' /etc/memcached.conf")
    lab.quiet()


def test_a_network_that_was_changed_by_hand(lab: Lab) -> None:
    folder = "/etc/systemd/network"
    file = lab.cloud.on("compute2", f"ls {folder}/*.network | head -1")
    lab.cloud.on("compute2", f"echo '# {HAND}' >>{file}")
    done = lab.same()["hosts"]["compute2"]
    assert done["changed"], "the network was applied again"
    lab.cloud.on("compute2", f"! grep '{HAND}' {file}")
    lab.quiet()
