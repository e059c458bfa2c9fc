"""Lets testinfra reach hosts as Ansible does: it reads an inventory but does not template it."""

from __future__ import annotations

import tempfile
from typing import Any

import testinfra.utils.ansible_runner as runner
from ansible.cli import CLI
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

_read_inventory = runner.get_ansible_inventory
# One connection per host for all of its tests, as ansible.cfg wishes; testinfra names no place.
_sockets = tempfile.TemporaryDirectory(prefix="cairn-ssh-")


def templated_inventory(config: Any, inventory_file: str | None) -> dict[str, Any]:
    """Return `ansible-inventory --list` with the connection variables (ansible_*) templated."""
    inventory: dict[str, Any] = _read_inventory(config, inventory_file)
    init_plugin_loader([])
    loader = DataLoader()
    loader.set_vault_secrets(CLI.setup_vault_secrets(loader, [], auto_prompt=False))
    hosts = InventoryManager(loader=loader, sources=[inventory_file] if inventory_file else None)
    variables = VariableManager(loader=loader, inventory=hosts)
    for name, found in inventory["_meta"]["hostvars"].items():
        known = variables.get_vars(host=hosts.get_host(name))
        templar = Templar(loader, variables=known)
        for variable in [variable for variable in found if variable.startswith("ansible_")]:
            found[variable] = templar.template(known[variable])
        found.setdefault("ansible_ssh_extra_args", f"-o ControlPath={_sockets.name}/%C")
    return inventory


runner.get_ansible_inventory = templated_inventory
