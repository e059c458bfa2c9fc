"""The real roles, rendered for a made-up site by Ansible's own templating."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template
from cairn import catalogue
from cairn.model import Model
from cairn.secrets import required

SERVICES = ("keystone", "glance", "placement", "nova", "neutron")
OPTIONAL = ("ceilometer", "cinder", "gnocchi", "heat", "horizon", "swift")


def host(number: int, *groups: str) -> dict[str, Any]:
    planes = {"management": "192.0.2", "storage": "198.51.100", "service": "203.0.113"}
    return {
        "groups": list(groups),
        "number": number,
        "addresses": {plane: f"{net}.{number}" for plane, net in planes.items()},
        "provider_interface": "serv0" if "network" in groups else None,
    }


def site(controllers: int, services: Sequence[str] = ()) -> dict[str, Any]:
    """A site as cairn_site has it, with that many controllers and those optional services."""
    hosts = {
        **{f"controller{n}": host(n, "controller") for n in range(1, controllers + 1)},
        "network1": host(11, "network"),
        "compute1": host(21, "compute"),
        "compute2": host(22, "compute"),
        **({f"storage{n}": host(30 + n, "storage") for n in (1, 2, 3)} if services else {}),
    }
    plane = {"prefix": 24, "vlan": None, "mtu": 1500, "gateway": None, "vip": None}
    return {
        "release": "2026.1",
        "services": sorted(services),
        "region": "RegionOne",
        "inventory": "inventories/test",
        "hosts": hosts,
        "groups": {
            group: [name for name, data in hosts.items() if group in data["groups"]]
            for group in ("controller", "network", "compute", "storage")
        },
        "planes": {
            "management": {**plane, "cidr": "192.0.2.0/24", "vip": "192.0.2.250"},
            "storage": {**plane, "cidr": "198.51.100.0/24", "mtu": 9000},
            "service": {**plane, "cidr": "203.0.113.0/24", "vip": "203.0.113.250"},
        },
        "names": {"internal": "internal.example", "public": "cloud.example"},
        "vips": {"internal": "192.0.2.250", "public": "203.0.113.250"},
        "provider_networks": {
            "external": {"type": "flat", "cidr": "203.0.113.0/24"},
            "racks": {"type": "vlan", "vlans": "100-199"},
        },
    }


def secrets() -> dict[str, str]:
    kinds = ("database", "queue", "service")
    return {
        **{name: f"{name}-value" for name in required(catalogue.descriptions(), {})},
        **{
            f"{kind}_{role}": f"{kind}-of-{role}"
            for kind in kinds
            for role in (*SERVICES, *OPTIONAL)
        },
    }


@pytest.fixture(scope="session")
def make_model(root: Path) -> Callable[..., Model]:
    """Make the model of a host; keywords are more host variables."""
    filter_loader.add_directory(str(root / "filter_plugins"))
    loader = DataLoader()

    def template(value: Any, variables: Mapping[str, Any]) -> Any:
        return Templar(loader=loader, variables=dict(variables)).template(value)

    def render(path: Path, variables: Mapping[str, Any]) -> str:
        templar = Templar(loader=loader, variables=dict(variables))
        return str(
            templar.template(
                trust_as_template(path.read_text()),
                preserve_trailing_newlines=True,
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": True},
            )
        )

    def make(
        name: str, controllers: int = 1, services: Sequence[str] = (), **variables: Any
    ) -> Model:
        made = site(controllers, services)
        known = {
            "cairn_site": made,
            "cairn_secrets": secrets(),
            "cairn_host": {"cpus": 1, "cpu_flags": []},
            "inventory_hostname": name,
            **variables,
        }
        return Model(
            host=name,
            variables=known,
            load=lambda path: loader.load_from_file(str(path), trusted_as_template=True),
            template=template,
            render=render,
            project=root,
        )

    return make


@pytest.fixture(scope="session")
def content(make_model: Callable[..., Model]) -> Callable[..., str]:
    """Give the content of a file that a role makes for a host."""

    def get(role: str, path: str, name: str, **arguments: Any) -> str:
        manifest = make_model(name, **arguments).manifest(role)
        assert manifest is not None
        (found,) = [file["content"] for file in manifest["files"] if file["path"] == path]
        return str(found)

    return get
