"""The targets for a site run its playbooks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

Make = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def make(root: Path) -> Make:
    """Ask what a target would run."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--dry-run", "INVENTORY=inventories/site", *words]
        # Not as a part of the make that may run the tests.
        own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(
            command, cwd=root, env=own, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("site", "playbooks/site.yml"),
        ("verify", "playbooks/verify.yml"),
        ("rollback", "playbooks/rollback.yml -e service=nova"),
        ("rotate-keys", "playbooks/rotate-keys.yml"),
    ],
)
def test_a_playbook_is_run_for_the_inventory(make: Make, target: str, command: str) -> None:
    shown = make(target, "SERVICE=nova", "ARGS=--check").stdout
    assert f"ansible-playbook -i 'inventories/site' {command} --check\n" in shown


@pytest.mark.parametrize("target", ["plan", "site", "secrets", "openstack", "renew"])
def test_a_control_node_does_not_get_what_the_lab_needs(make: Make, target: str) -> None:
    said = make(target).stdout
    assert "tools/setup\n" in said
    assert "--lab" not in said
    assert "tools/setup --lab\n" in make("lab-up").stdout


ODD = """my site's "x" & $HOME; (1)"""


def test_an_inventory_may_have_any_name_and_the_environment_be_anybodys(
    root: Path, tmp_path: Path
) -> None:
    """Every target for a site is run, with a script in place of the tools that shows its words."""
    bin_ = tmp_path / "checkout/.venv/bin"
    bin_.mkdir(parents=True)
    shutil.copy(root / "Makefile", tmp_path / "checkout")
    tell = '#!/bin/sh\nfor word; do echo "[$word]"; done; echo "$ANSIBLE_CONFIG $LC_ALL"\n'
    for name in ("ansible-playbook", "ansible-vault", "python"):
        (bin_ / name).write_text(tell)
        (bin_ / name).chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    own |= {"LC_ALL": "C", "ANSIBLE_CONFIG": "/etc/ansible/ansible.cfg"}
    inventory = str(tmp_path / ODD)
    given = f"INVENTORY={inventory.replace('$', '$$')}"

    def make(target: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "-s", "--assume-old=tools", target, given, "SERVICE=nova"]
        return subprocess.run(
            command, cwd=tmp_path / "checkout", env=own, capture_output=True, text=True, check=False
        )

    for target in ("plan", "site", "verify", "rollback", "renew", "rotate-keys"):
        said = make(target)
        assert f"[-i]\n[{inventory}]\n[playbooks/" in said.stdout, said.stdout + said.stderr
        assert f"\n{tmp_path}/checkout/ansible.cfg C.UTF-8\n" in said.stdout
    assert f"[edit]\n[{inventory}/group_vars/all/secrets.yml]\n" in make("edit-secrets").stdout
    assert f"[tools/site_secrets.py]\n[{inventory}]\n" in make("secrets").stdout
    assert f"[tools/openstack.py]\n[{inventory}]\n" in make("openstack").stdout
    assert make("help").returncode == 0


def test_a_rollback_needs_the_name_of_its_service(make: Make) -> None:
    asked = make("rollback")
    assert asked.returncode
    assert "SERVICE=… is missing" in asked.stderr


def openstack(root: Path, inventory: Path) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    words = ["openstack", f"INVENTORY={inventory}", "ARGS=token issue"]
    return subprocess.run(
        ["make", "--assume-old=tools", *words],
        cwd=root,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An inventory with an operator."""
    (tmp_path / "site/group_vars/all").mkdir(parents=True)
    (tmp_path / "site/hosts.yml").write_text("operator: {hosts: {localhost: {}}}\n")
    return tmp_path / "site"


def test_without_an_operator_the_command_is_explained(root: Path, site: Path) -> None:
    (site / "hosts.yml").write_text("controller: {hosts: {localhost: {}}}\n")
    asked = openstack(root, site)
    assert asked.returncode
    assert f"{site}/.operator/openstack is missing: make site INVENTORY={site}" in asked.stderr
    assert "group operator" in asked.stderr


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({}, "site/.operator"),
        ({"cairn_operator_dir": "{{ inventory_dir }}/../{{ kept }}", "kept": "a b"}, "a b"),
        ({"cairn_operator_dir": "no", "operator_directory": "{{ inventory_dir }}/x"}, "site/x"),
    ],
)
@pytest.mark.parametrize("inventory", ["site", "site/hosts.yml"])
def test_the_command_is_found_where_the_role_writes_it(
    script: Callable[[str], ModuleType],
    site: Path,
    variables: dict[str, str],
    folder: str,
    inventory: str,
) -> None:
    with_secrets(site, variables)
    found = script("tools/openstack.py").directory(site.parent / inventory)
    assert found == (site.parent / folder).resolve()


def with_secrets(site: Path, variables: dict[str, str]) -> None:
    """Give an inventory variables; they may stand beside secrets, which have to be opened."""
    (site / "group_vars/all/site.yml").write_text(yaml.safe_dump(variables))
    vault = VaultLib([("default", VaultSecret(b"word"))])
    secret = site / "group_vars/all/secrets.yml"
    secret.write_bytes(vault.encrypt("cairn_secrets: {one: word}\n"))
    (site / ".vault-password").write_text("word\n")


@pytest.mark.parametrize("inventory", ["site", "site/hosts.yml"])
def test_the_command_gets_its_words(root: Path, site: Path, inventory: str) -> None:
    kept = {"cairn_operator_dir": "{{ inventory_dir }}/../{{ kept }}", "kept": "a b"}
    with_secrets(site, kept)
    command = site.parent / "a b/openstack"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "$0 was asked: $*"\n')
    command.chmod(0o755)
    asked = openstack(root, site.parent / inventory)
    assert asked.stdout == f"{command} was asked: token issue\n", asked.stderr
