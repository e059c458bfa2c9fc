"""The openstack command of a site, as administrator: `openstack.py inventories/<site> server list`.

`make openstack` runs this. It starts the command that the role operator wrote, wherever the site
has its operator's files.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.loader import init_plugin_loader

from cairn.site.inventories import Inventory, password_of
from cairn.site.secrets import SecretsError


def directory(inventory: Path) -> Path:
    """Return where the role operator puts its files, as its defaults say.

    SecretsError and AnsibleError when the inventory cannot be read.
    """
    folder = inventory.parent if inventory.is_file() else inventory
    known = Inventory(inventory, password_of(folder))
    for host in known.groups.get("operator", [])[:1]:
        variables = known.variables(host)
        for name in ("operator_directory", "cairn_operator_dir"):
            if found := variables.get(name):
                return Path(str(found)).expanduser().resolve()
    return (folder / ".operator").resolve()


def main(arguments: list[str]) -> int:
    """Become the command; return an exit code only when that is impossible."""
    if not arguments:
        print("usage: openstack.py INVENTORY [WORD…]", file=sys.stderr)
        return 2
    init_plugin_loader()
    inventory = Path(arguments[0])
    try:
        command = directory(inventory) / "openstack"
        os.execv(command, [str(command), *arguments[1:]])  # noqa: S606
    except (FileNotFoundError, PermissionError):
        print(
            f"error: {command} is missing: make site INVENTORY={inventory} writes it on the host "
            "of the group operator (docs/first-day.md)",
            file=sys.stderr,
        )
    except (AnsibleError, SecretsError) as error:
        print(f"error: {inventory}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
