"""An inventory as Ansible reads it, and its vault password, for tools that run no playbook.

Runs on the control node.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from .. import PROJECT
from .inventory_files import loader_of_variables, unreadable
from .precedence import origin
from .secrets import SecretsError


class Inventory:
    """An inventory: its groups, and the templated variables of its hosts."""

    def __init__(self, path: Path, password: str = "") -> None:
        """Read the inventory; `password` decrypts its vaults. AnsibleError if that fails."""
        loader = DataLoader()
        secrets = [("default", VaultSecret(password.encode()))] if password else []
        loader.set_vault_secrets(secrets)
        manager = InventoryManager(loader=loader, sources=[str(path)])
        load = loader_of_variables(loader)
        if problems := unreadable([path], manager.groups, manager.hosts, load):
            raise AnsibleParserError("; ".join(problems))
        self._variables = HostVars(manager, VariableManager(loader, manager), loader)
        self.groups: dict[str, list[str]] = manager.get_groups_dict()

    def variables(self, host: str) -> Any:
        """The variables of a host, by name; each is templated on access."""
        return self._variables[host]

    def place(self, variable: str, host: str) -> str:
        """The file that sets the value in force of a host's variable; "" if none does."""
        return origin(self._variables.raw_get(host).get(variable))


def password_file(inventory: Path) -> Path:
    """Return the file with the vault password of an inventory."""
    elsewhere = os.environ.get("CAIRN_VAULT_PASSWORD_FILE")
    return Path(elsewhere) if elsewhere else inventory / ".vault-password"


def encrypted(inventory: Path) -> list[Path]:
    """Return the files of an inventory with encrypted content."""
    paths = (p for p in sorted(inventory.rglob("*")) if p.is_file())
    return [path for path in paths if b"$ANSIBLE_VAULT;" in path.read_bytes()]


def password_of(inventory: Path) -> str:
    """Return the vault password, "" for a new site without one.

    SecretsError, with the remedy, if a required password is missing or wrong.
    """
    path = password_file(inventory)
    if not path.exists():
        locked = encrypted(inventory)
        if not locked:
            return ""
        raise SecretsError(
            f"{inventory}: no vault password: {path} is missing, and {locked[0]} is encrypted. Put "
            f"the password there, or name its file in CAIRN_VAULT_PASSWORD_FILE; "
            "see docs/manage-secrets.md"
        )
    answer = subprocess.run(
        [PROJECT / "tools/vault-password", "-i", inventory.resolve()],
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise SecretsError(answer.stderr.strip().removeprefix("error: "))
    return answer.stdout.strip()
