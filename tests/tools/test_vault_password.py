"""The vault password belongs to the inventory that the calling command names."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

PATH = "tools/vault-password"


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script(PATH)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("ansible-playbook site.yml", "inventories/lab"),
        ("ansible-playbook -i inventories/a site.yml", "inventories/a"),
        ("ansible-playbook -iinventories/a site.yml", "inventories/a"),
        ("ansible-playbook --inventory inventories/a site.yml", "inventories/a"),
        ("ansible-playbook --inventory=inventories/a -i b site.yml", "b"),
        ("ansible-playbook site.yml -i", "inventories/lab"),
    ],
)
def test_the_inventory_is_read_from_the_command_line(
    tool: ModuleType, words: str, named: str
) -> None:
    assert tool.inventory_of(words.split(), {}) == named


def test_the_environment_names_the_default_inventory(tool: ModuleType) -> None:
    environ = {"ANSIBLE_INVENTORY": "inventories/b"}
    assert tool.inventory_of(["ansible-playbook", "site.yml"], environ) == "inventories/b"
    assert tool.inventory_of(["ansible-playbook", "-i", "a"], environ) == "a"


def test_a_file_inside_an_inventory_means_the_inventory(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").touch()
    (tmp_path / ".vault-password").write_text("word\n")
    assert tool.password(str(tmp_path / "hosts.yml"), {}) == "word"


def test_a_file_elsewhere_wins(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".vault-password").write_text("beside\n")
    (tmp_path / "elsewhere").write_text("elsewhere\n")
    environ = {"CAIRN_VAULT_PASSWORD_FILE": str(tmp_path / "elsewhere")}
    assert tool.password(str(tmp_path), environ) == "elsewhere"


def test_an_executable_file_is_run(tool: ModuleType, tmp_path: Path) -> None:
    program = tmp_path / "ask"
    program.write_text("#!/bin/sh\necho printed\n")
    program.chmod(0o700)
    assert tool.password(str(tmp_path), {"CAIRN_VAULT_PASSWORD_FILE": str(program)}) == "printed"


def test_a_clone_without_secrets_needs_no_password(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.password(str(tmp_path), {}) == tool.NOTHING_ENCRYPTED


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An inventory with secrets that the password `right` opens."""
    path = tmp_path / "group_vars/all/secrets.yml"
    path.parent.mkdir(parents=True)
    vault = VaultLib([("default", VaultSecret(b"right"))])
    path.write_bytes(vault.encrypt("cairn_secrets: {}\n"))
    return tmp_path


def test_the_right_password_opens_the_secrets(tool: ModuleType, site: Path) -> None:
    (site / ".vault-password").write_text("right\n")
    assert tool.password(str(site), {}) == "right"


def test_a_wrong_password_is_told_with_both_files(tool: ModuleType, site: Path) -> None:
    (site / ".vault-password").write_text("wrong\n")
    with pytest.raises(LookupError) as caught:
        tool.password(str(site), {})
    said = str(caught.value)
    assert said.startswith(f"{site}/group_vars/all/secrets.yml: the vault password does not open")
    assert f"{site}/.vault-password holds another site's" in said


def test_a_file_that_is_no_vault_is_left_to_others(tool: ModuleType, tmp_path: Path) -> None:
    plain = tmp_path / "secrets.yml"
    plain.write_text("cairn_secrets: {}\n")
    assert tool.opens("any", plain)


@pytest.mark.parametrize("content", [None, "\n"])
def test_a_missing_or_empty_password_is_told(
    root: Path, tmp_path: Path, content: str | None
) -> None:
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "group_vars/all/secrets.yml").touch()
    if content is not None:
        (tmp_path / ".vault-password").write_text(content)
    command = [str(root / PATH), "-i", str(tmp_path)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"}
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"{tmp_path}: no vault password" in result.stderr
