"""A playbook that is for nobody fails and says why; one whose later plays are empty does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cairn.invocation import refused_tags
from cairn.site.planes import GROUPS

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
HOSTS = "all: {children: {switches: {hosts: {leaf1: {ansible_connection: refusing}}}}}\n"


def play(
    inventory: str, folder: Path, *words: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    (folder / "hosts.yml").write_text(inventory)
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", str(folder / "hosts.yml"), *words),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "500", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_every_playbook_fails_on_an_inventory_without_hosts_for_it(
    name: str, tmp_path: Path
) -> None:
    done = play(HOSTS, tmp_path, f"playbooks/{name}", "-e", "service=nova role=nova")
    assert done.returncode == 1, done.stdout
    assert f"{name}: nothing was done: {tmp_path}/hosts.yml has no host in the group" in done.stderr
    assert "SUMMARY" not in done.stdout


def test_a_proof_needs_an_operator(tmp_path: Path) -> None:
    done = play("controller: {hosts: {c1: }}\n", tmp_path, "playbooks/verify.yml")
    assert done.returncode == 1
    assert "in the group operator; add the group operator with the machine" in done.stderr
    assert (ROOT / "inventories/example/group_vars/operator.yml").exists()


def test_callbacks_of_the_operators_own_do_not_take_the_place_of_this_one(tmp_path: Path) -> None:
    inventory = "controller: {hosts: {c1: }}\n"
    own = {"ANSIBLE_CALLBACKS_ENABLED": "oneline", "ANSIBLE_STDOUT_CALLBACK": "default"}
    done = play(inventory, tmp_path, "playbooks/verify.yml", **own)
    assert done.returncode == 1
    assert "in the group operator; add the group operator with the machine" in done.stderr


@pytest.mark.parametrize("strategy", ["free", "ansible.builtin.host_pinned"])
def test_no_strategy_in_which_hosts_do_not_wait_for_one_another(
    strategy: str, tmp_path: Path
) -> None:
    inventory = "controller: {hosts: {c1: {ansible_connection: refusing}}}\n"
    done = play(inventory, tmp_path, "playbooks/site.yml", ANSIBLE_STRATEGY=strategy)
    assert done.returncode == 1, done.stdout
    assert f"site.yml: nothing was done: the strategy {strategy} is set" in done.stderr
    (tmp_path / "p.yml").write_text("- {hosts: switches, gather_facts: false}\n")
    own = play(HOSTS, tmp_path, str(tmp_path / "p.yml"), ANSIBLE_STRATEGY=strategy)
    assert own.returncode == 0, own.stderr


def test_a_limit_that_leaves_nobody(tmp_path: Path) -> None:
    inventory = "controller: {hosts: {c1: }}\ncompute: {hosts: {n1: }}\n"
    done = play(inventory, tmp_path, "playbooks/rotate-keys.yml", "--limit", "n1")
    assert done.returncode == 1
    said = "it is for the group controller, and --limit n1 leaves none of their hosts (c1); name"
    assert said in done.stderr


@pytest.mark.parametrize("option", ["--tags", "--skip-tags"])
def test_tags_are_refused_by_every_playbook(option: str, tmp_path: Path) -> None:
    inventory = "controller: {hosts: {c1: {ansible_connection: refusing}}}\n"
    for name in ENTRIES:
        done = play(inventory, tmp_path, f"playbooks/{name}", option, "nova")
        assert done.returncode == 1, done.stdout
        said = f"{name}: nothing was done: Cairn's tasks have no tags, so {option} nova would not"
        assert said in done.stderr


def test_molecules_own_tags_are_no_choice() -> None:
    site = ROOT / "playbooks/site.yml"
    assert refused_tags(site, ["all"], ["notest", "molecule-idempotence-notest"]) == ""
    assert "--skip-tags nova" in refused_tags(site, ["all"], ["notest", "nova"])


def test_a_playbook_of_the_sites_own_may_have_tags(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text("- {hosts: switches, gather_facts: false}\n")
    assert play(HOSTS, tmp_path, str(tmp_path / "p.yml"), "--tags", "nova").returncode == 0


def test_later_plays_may_be_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(
        "- {hosts: switches, gather_facts: false}\n- {hosts: stale_nova, gather_facts: false}\n"
    )
    assert play(HOSTS, tmp_path, str(tmp_path / "p.yml")).returncode == 0


def test_plays_name_the_managed_hosts_by_cairns_groups() -> None:
    """The groups of planes.GROUPS are what Cairn manages; other hosts are never touched."""
    paths = [
        *(ROOT / "playbooks").glob("*.yml"),
        *(ROOT / "playbooks/internal").glob("*.yml"),
        *(ROOT / "molecule").glob("*/converge.yml"),
    ]
    patterns = {
        play["hosts"]: path.name
        for path in paths
        for play in yaml.safe_load(path.read_text())
        if "hosts" in play
    }
    assert ":".join(GROUPS) in patterns
    wide = [p for p in patterns if {"all", "*", "ungrouped"} & set(p.replace("!", ":").split(":"))]
    assert wide == []
