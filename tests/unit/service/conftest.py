"""A site, and a project with small roles, to try the mechanics on without Ansible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.service import registry
from cairn.service.model import Model

SITE: dict[str, Any] = {
    "release": "2026.1",
    "region": "RegionOne",
    "inventory": "inventories/test",
    "groups": {"controller": ["c1", "c2"], "compute": ["n1"], "network": [], "storage": []},
    "hosts": {
        "c1": {"groups": ["controller"], "addresses": {"management": "192.0.2.1"}},
        "c2": {"groups": ["controller"], "addresses": {"management": "192.0.2.2"}},
        "n1": {"groups": ["compute"], "addresses": {"management": "192.0.2.3"}},
    },
    "names": {"internal": "api.internal", "public": "api.example"},
    "vips": {"internal": "192.0.2.10", "public": "198.51.100.10"},
}

EXAMPLE = {
    "example_service": {
        "summary": "Example",
        "groups": ["controller"],
        "user": {"name": "example"},
        "lock": "example",
        "packages": [{"names": ["zlib", "acl"]}, {"names": ["qemu"], "groups": ["compute"]}],
        "config": [
            {"file": "example.conf", "sections": {"DEFAULT": {"debug": False, "workers": 1}}},
        ],
        "files": [
            {"path": "/etc/example.d/extra", "content": "extra\n"},
            {"path": "paste.ini", "from_venv": "etc/paste.ini"},
        ],
        "units": {
            "example-api": {
                "wsgi": "example.wsgi:application",
                "port": 9999,
                "config_files": ["example.conf", "paste.ini"],
                "frontend": {},
            },
            "example-worker": {
                "command": "{venv}/bin/worker --config {etc}/example.conf",
                "config_files": ["/etc/example.d/extra"],
            },
        },
        "databases": ["example"],
        "queue": True,
        "catalog": {"type": "example", "port": 9999, "path": "/v1", "roles": ["admin"]},
        "migrations": [
            {"name": "expand", "phase": "before", "command": "{venv}/bin/manage {etc} expand"},
            {"name": "contract", "phase": "after", "command": "{venv}/bin/manage {etc} contract"},
        ],
    }
}


def dump(value: Any) -> str:
    """Write YAML, by libyaml where it is there."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with the one role `example` and its lock."""
    role = tmp_path / "roles" / "example"
    (role / "vars").mkdir(parents=True)
    (role / "vars" / "main.yml").write_text(dump(EXAMPLE))
    (tmp_path / "releases" / "2026.1").mkdir(parents=True)
    (tmp_path / "releases" / "2026.1" / "example.lock").write_text("example==1 --hash=sha256:0\n")
    return tmp_path


@pytest.fixture
def make_model(project: Path) -> Callable[..., Model]:
    """Make a model for a host of the test site; keywords are more host variables."""

    def make(host: str = "c1", **variables: Any) -> Model:
        secrets = {"database_example": "d", "queue_example": "q", "service_example": "s"}
        return Model(
            host=host,
            variables={"cairn_site": SITE, "cairn_secrets": secrets, **variables},
            # A function of its own: what registry reads is kept by it.
            load=lambda path: registry.plain(path),
            template=lambda value, _variables: value,
            render=lambda path, _variables: path.read_text(),
            project=project,
        )

    return make


@pytest.fixture
def edit(project: Path) -> Callable[[Mapping[str, Any]], None]:
    """Change keys of the example's description on disk."""

    def change(changes: Mapping[str, Any]) -> None:
        path = project / "roles" / "example" / "vars" / "main.yml"
        described = registry.plain(path)
        described["example_service"].update(changes)
        path.write_text(dump(described))

    return change
