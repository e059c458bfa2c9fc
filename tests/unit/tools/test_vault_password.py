"""The vault password belongs to the inventory that the calling command names."""

from __future__ import annotations

import os
import subprocess
import sys
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
        ("ansible-playbook -Ki inventories/a site.yml", "inventories/a"),
        ("ansible-playbook -vvDiinventories/a site.yml", "inventories/a"),
        ("ansible-playbook -e i=b -l idle site.yml", "inventories/lab"),
        ("ansible-playbook -vei=b site.yml", "inventories/lab"),
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


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        ("-i site -i other", {}),
        ("-i other -i site", {}),
        ("", {"ANSIBLE_INVENTORY": "site,other"}),
        ("-i site/hosts.yml -i extra.ini -i extra1,extra2", {}),
    ],
)
def test_of_several_inventories_it_is_the_one_with_secrets(
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    environ: dict[str, str],
) -> None:
    (tmp_path / "site/group_vars/all").mkdir(parents=True)
    (tmp_path / "other/group_vars/all").mkdir(parents=True)
    (tmp_path / "extra.ini").touch()
    (tmp_path / "site/hosts.yml").touch()
    (tmp_path / "site/group_vars/all/secrets.yml").touch()
    monkeypatch.chdir(tmp_path)
    named = tool.inventory_of(["ansible-playbook", *words.split(), "site.yml"], environ)
    assert tool.directory_of(named) == Path("site")


@pytest.mark.parametrize(
    ("command", "elsewhere"),
    [("view", False), ("edit", False), ("rekey", False), ("encrypt", False), ("edit", True)],
)
def test_ansible_vault_works_on_the_file_of_an_inventory(
    root: Path, tmp_path: Path, command: str, elsewhere: bool
) -> None:
    """As docs/manage-secrets.md says it, with ansible's own configuration and no -i."""
    site = tmp_path / "inventories/site"
    path = site / "group_vars/all/secrets.yml"
    path.parent.mkdir(parents=True)
    text = b"cairn_secrets: {a: b}\n"
    vault = VaultLib([("default", VaultSecret(b"right"))])
    path.write_bytes(text if command == "encrypt" else vault.encrypt(text))
    environ = {name: v for name, v in os.environ.items() if name != "ANSIBLE_INVENTORY"}
    word = tmp_path / "word" if elsewhere else site / ".vault-password"
    word.write_text("right\n")
    environ |= {"CAIRN_VAULT_PASSWORD_FILE": str(word)} if elsewhere else {}
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "more: 1" >> "$1"\n')
    editor.chmod(0o700)
    environ |= {"EDITOR": str(editor)}
    new = tmp_path / "new"
    new.write_text("right\n")
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("ansible-vault")), command, str(path)),
            *(["--new-vault-password-file", str(new)] if command == "rekey" else []),
        ],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if command == "view":
        assert done.stdout.strip() == text.decode().strip()
    else:
        content = vault.decrypt(path.read_bytes())
        assert content == text + (b"more: 1\n" if command == "edit" else b"")


def test_ansible_vault_without_a_file_needs_the_inventory_named(tool: ModuleType) -> None:
    words = ["python", "/x/ansible-vault", "encrypt_string", "--name", "a", "b"]
    with pytest.raises(LookupError, match="ANSIBLE_INVENTORY=inventories/<site>"):
        tool.inventory_of(words, {})
    assert tool.inventory_of(words, {"ANSIBLE_INVENTORY": "inventories/b"}) == "inventories/b"


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


def test_the_error_on_a_wrong_password_names_both_files(tool: ModuleType, site: Path) -> None:
    (site / ".vault-password").write_text("wrong\n")
    with pytest.raises(LookupError) as caught:
        tool.password(str(site), {})
    said = str(caught.value)
    assert said.startswith(f"{site}/group_vars/all/secrets.yml: the vault password does not open")
    assert f"{site}/.vault-password holds the password of another site" in said


@pytest.mark.parametrize("word", ["right", "wrong"])
def test_a_vault_id_makes_no_difference(tool: ModuleType, site: Path, word: str) -> None:
    vault = VaultLib([("site", VaultSecret(b"right"))])
    path = site / "group_vars/all/secrets.yml"
    path.write_bytes(vault.encrypt("cairn_secrets: {}\n", vault_id="site"))
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;site\n")
    assert tool.opens(word, path) is (word == "right")


@pytest.mark.parametrize("cut", [1, 3, -1])
def test_a_damaged_file_is_named(tool: ModuleType, site: Path, cut: int) -> None:
    (site / ".vault-password").write_text("right\n")
    path = site / "group_vars/all/secrets.yml"
    whole = path.read_bytes().rstrip(b"\n")
    path.write_bytes(whole[:-cut] if cut > 0 else whole[:200] + b"x\n" + whole[200:])
    with pytest.raises(LookupError, match=r"secrets\.yml: is damaged: .* Restore it"):
        tool.password(str(site), {})


def test_a_file_that_is_no_vault_is_left_to_others(tool: ModuleType, tmp_path: Path) -> None:
    plain = tmp_path / "secrets.yml"
    plain.write_text("cairn_secrets: {}\n")
    assert tool.opens("any", plain)


@pytest.mark.parametrize("content", [None, "\n"])
def test_a_missing_or_empty_password_is_an_error(
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
