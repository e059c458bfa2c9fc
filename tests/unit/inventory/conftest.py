"""Made-up inventories that Ansible itself reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

Write = Callable[[dict[str, str]], Any]


@pytest.fixture
def hostvars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files of the inventory `site`; Ansible's hostvars of it."""
    monkeypatch.chdir(tmp_path)

    def read(files: dict[str, str]) -> HostVars:
        for name, text in files.items():
            path = tmp_path / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        loader = DataLoader()
        loader.set_basedir(str(tmp_path / "playbooks"))
        inventory = InventoryManager(loader=loader, sources=[str(tmp_path / "site")])
        return HostVars(inventory, VariableManager(loader, inventory), loader)

    return read
