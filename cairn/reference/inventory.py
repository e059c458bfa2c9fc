"""An inventory as a run reads it, without a connection to hosts: its site and its manifests.

Ansible itself reads the variables, and templates are those of the roles. Secrets are placeholders,
which shows where each secret is written and needs no vault password.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from .. import PROJECT
from ..actions.base import TEMPLATE_OVERRIDES, preload, role_file
from ..service import registry
from ..service.manifest import Manifest
from ..service.model import Model
from ..site import fact, precedence
from ..site.planes import GROUPS, Site
from ..site.secrets import required

EXAMPLE = PROJECT / "inventories/example"
# Secrets of limited length: keepalived's eight characters, a key of AES.
SHORT = {"keepalived_": 8, "heat_auth_encryption_key": 32}


class EncryptedFilesLeftOut(DataLoader):  # type: ignore[misc]
    """Reads an inventory as if encrypted files were empty."""

    def load_from_file(self, file_name: str, *arguments: Any, **keywords: Any) -> Any:
        """The content of a file; {} of an encrypted one."""
        if Path(file_name).read_bytes().startswith(b"$ANSIBLE_VAULT;"):
            return {}
        return super().load_from_file(file_name, *arguments, **keywords)


def placeholder(name: str) -> str:
    """A value that identifies a secret in every file that contains it."""
    for begin, length in SHORT.items():
        if name.startswith(begin):
            return f"{name.removeprefix(begin)[:4]}-{name}"[:length].ljust(length, "-")
    return f"placeholder-of-{name}"


@functools.cache
def prepare() -> None:
    """Load Ansible's plugins and compile templates, once for a process."""
    init_plugin_loader()
    filter_loader.add_directory(str(PROJECT / "filter_plugins"))
    preload()


class Inventory:
    """An inventory. `site` is its planes and hosts, `fact` is `cairn_site`."""

    def __init__(self, folder: Path) -> None:
        """Read the inventory; fact.SiteError names all its mistakes."""
        if not folder.exists():
            raise fact.SiteError(f"{folder}: there is no such inventory")
        prepare()
        self.folder = folder
        self.loader = EncryptedFilesLeftOut()
        manager = InventoryManager(loader=self.loader, sources=[str(folder)])
        variables = VariableManager(loader=self.loader, inventory=manager)
        self.hostvars = HostVars(manager, variables, self.loader)
        self.groups: dict[str, list[str]] = manager.get_groups_dict()
        asked = {"groups": self.groups, "hostvars": self.hostvars}
        self.site, self.fact = fact.read(asked)
        self.described = registry.descriptions()

    def secrets(self) -> dict[str, str]:
        """Every secret that the site needs, each with its placeholder."""
        described = registry.of_site(self.described, self.fact)
        return {name: placeholder(name) for name in required(described, self.fact["planes"])}

    @functools.cache  # noqa: B019 - an inventory lives as long as the process
    def variables(self, host: str) -> dict[str, Any]:
        """The variables of a host at the start of a run, after preflight."""
        return {
            **dict(self.hostvars[host]),
            "hostvars": self.hostvars,
            "cairn_site": self.fact,
            "cairn_host": {"cpus": 16, "cpu_flags": ["vmx"], "records": {}, "services": {}},
            "cairn_secrets": self.secrets(),
        }

    def model(self, host: str, **more: Any) -> Model:
        """The model of a host, with the roles' templates; `more` are further variables of it."""
        variables = {**self.variables(host), **more}
        variables |= precedence.overrides(variables, host, registry.merged(), self._template)
        return Model(
            host=host,
            variables=variables,
            load=role_file,
            template=self._template_with,
            render=self._render,
        )

    def manifests(self, host: str, *roles: str, **more: Any) -> dict[str, Manifest]:
        """The manifests of a host for all or some roles, with further variables."""
        model = self.model(host, **more)
        found = {role: model.manifest(role) for role in roles or model.roles()}
        return {role: made for role, made in found.items() if made}

    def _template(self, value: Any) -> Any:
        return Templar(loader=self.loader).template(value)

    def _template_with(self, value: Any, variables: Mapping[str, Any]) -> Any:
        return Templar(loader=self.loader, variables=dict(variables)).template(value)

    def _render(self, path: Path, variables: Mapping[str, Any]) -> str:
        text = Templar(loader=self.loader, variables=dict(variables)).template(
            trust_as_template(path.read_text()),
            preserve_trailing_newlines=True,
            escape_backslashes=False,
            overrides=TEMPLATE_OVERRIDES,
        )
        return str(text)


def groups_of(site: Site, hosts: list[str]) -> list[str]:
    """The groups all of whose hosts are among these, in Cairn's order."""
    found = []
    for group in GROUPS:
        members = [host.name for host in site.hosts.values() if group in host.groups]
        if members and set(members) <= set(hosts):
            found.append(group)
    return found
