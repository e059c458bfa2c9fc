"""The infrastructure roles' descriptions as the mechanics read them, for sites of any size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template
from cairn import certificates
from cairn import secrets as site_secrets
from cairn.model import Model

ROOT = Path(__file__).resolve().parents[2]

PLANES = {
    "management": ("192.0.2", "192.0.2.10"),
    "storage": ("198.51.100", None),
    "service": ("203.0.113", "203.0.113.10"),
}


def site(controllers: int) -> dict[str, Any]:
    """A site with so many controllers, a network host and a compute host."""
    groups = {
        "controller": [f"controller{n}" for n in range(1, controllers + 1)],
        "network": ["network1"],
        "compute": ["compute1"],
        "storage": [],
    }
    hosts = {}
    for number, name in enumerate([n for names in groups.values() for n in names], start=11):
        hosts[name] = {
            "groups": [group for group, names in groups.items() if name in names],
            "number": number,
            "addresses": {plane: f"{net}.{number}" for plane, (net, _vip) in PLANES.items()},
            "devices": {"management": "mgmt0", "storage": "stor0.20", "service": "serv0.30"},
            "provider_interface": None,
        }
    vips = {"internal": "192.0.2.10", "public": "203.0.113.10"}
    return {
        "release": "2026.1",
        "region": "RegionOne",
        "tls": True,
        "inventory": "inventories/test",
        "planes": {
            plane: {"cidr": f"{net}.0/24", "prefix": 24, "vip": vip, "mtu": 1500}
            for plane, (net, vip) in PLANES.items()
        },
        "hosts": hosts,
        "groups": groups,
        "vips": vips,
        "names": {"internal": vips["internal"], "public": "cloud.example.org"},
        "provider_networks": {},
    }


@pytest.fixture(scope="session")
def authority() -> tuple[str, str]:
    """A certificate authority: certificate and key, PEM."""
    return certificates.certificate_authority()


MakeModel = Callable[..., Model]


@pytest.fixture(scope="session")
def make_model(authority: tuple[str, str]) -> MakeModel:
    """Make the model of a host in a site of so many controllers; keywords are host variables."""
    init_plugin_loader()
    filter_loader.add_directory(str(ROOT / "filter_plugins"))
    loader = DataLoader()

    def load(path: Path) -> Any:
        return loader.load_from_file(str(path), trusted_as_template=True)

    def template(value: Any, available: Mapping[str, Any]) -> Any:
        return Templar(loader=loader, variables=dict(available)).template(value)

    def render(path: Path, available: Mapping[str, Any]) -> str:
        templar = Templar(loader=loader, variables=dict(available))
        return str(
            templar.template(
                trust_as_template(path.read_text()),
                preserve_trailing_newlines=True,
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": True},
            )
        )

    made: dict[tuple[str, int], Model] = {}

    def make(host: str = "controller1", controllers: int = 1, **variables: Any) -> Model:
        if not variables and (host, controllers) in made:
            return made[host, controllers]
        planes = {plane: {"vip": vip} for plane, (_net, vip) in PLANES.items()}
        names = site_secrets.required({}, planes)
        certificate, key = authority
        values = {name: f"secret-{name}" for name in names}
        values |= {"ca_certificate": certificate, "ca_key": key}
        model = Model(
            host=host,
            variables={
                "cairn_site": site(controllers),
                "cairn_secrets": values,
                "inventory_hostname": host,
                **variables,
            },
            load=load,
            template=template,
            render=render,
        )
        if not variables:
            made[host, controllers] = model
        return model

    return make


@pytest.fixture(scope="session")
def content(make_model: MakeModel) -> Callable[..., str]:
    """The content of one file of a role on a host, as the mechanics render it."""

    def get(role: str, path: str, **how: Any) -> str:
        manifest = make_model(**how).manifest(role)
        assert manifest is not None, f"{role} has no part on this host"
        return str(next(f["content"] for f in manifest["files"] if f["path"] == path))

    return get
