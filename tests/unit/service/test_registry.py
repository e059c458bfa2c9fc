"""What the project declares, read from a made-up one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.service import registry

NOVA = {
    "groups": ["controller", "compute"],
    "packages": [{"names": ["qemu-utils"]}, {"names": "{{ nova_packages }}"}],
    "config": [{"file": "nova.conf"}],
    "units": {
        "nova-api": {"wsgi": "nova:app", "port": 8774, "groups": ["controller"]},
        "libvirtd.socket": {"distro": True},
        "nova-novncproxy": {"port": "{{ port }}"},
    },
}
CHRONY = {
    "groups": ["all"],
    "packages": [{"names": ["chrony"]}],
    "files": [{"path": "/etc/chrony/chrony.conf", "content": ""}],
    "units": {"chrony": {"distro": True}},
}
SWIFT = {
    "optional": True,
    "groups": ["storage"],
    "files": [{"path": "swift.conf", "content": ""}],
    "units": {"swift-object": {"port": 6200, "plane": "storage"}},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    def write(path: str, data: Any) -> None:
        file = tmp_path / "roles" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(data))

    for role, description in (("nova", NOVA), ("chrony", CHRONY), ("swift", SWIFT)):
        write(f"{role}/vars/main.yml", {f"{role}_service": description, "__x": 1})
    write("nova/meta/argument_specs.yml", {"argument_specs": {"main": {"options": {"nova_x": {}}}}})
    write("verify/vars/main.yml", {"verify_other": {}})  # a role without a service
    return tmp_path


def test_descriptions_are_those_of_roles_that_have_one(project: Path) -> None:
    assert registry.descriptions(project) == {"chrony": CHRONY, "nova": NOVA, "swift": SWIFT}
    assert registry.roles(project) == ["chrony", "nova", "swift", "verify"]


def test_a_site_has_the_optional_services_that_it_chose(project: Path) -> None:
    described = registry.descriptions(project)
    assert set(registry.of_site(described, {"services": []})) == {"chrony", "nova"}
    assert set(registry.of_site(described, {"services": ["swift"]})) == set(described)


def test_variables_are_the_roles_options_their_config_and_the_sites(project: Path) -> None:
    known, run = registry.variables(project)
    assert known >= {"nova_x", "nova_config", "cairn_planes"}
    # swift and chrony have no oslo file of which an option could be overridden
    assert not known & {"swift_config", "chrony_config"}
    assert "cairn_site" in run - known


def test_etc_belongs_to_services_with_files_of_their_own(project: Path) -> None:
    described = registry.descriptions(project)
    assert registry.etc_folders(described) == ["nova", "swift"]
    api = {"units": {"x-api": {"wsgi": "x:app", "port": 1}}}
    assert registry.etc_folders({"x": api}) == ["x"]  # uWSGI's own file lies there


def test_packages_are_those_that_stand_in_the_descriptions(project: Path) -> None:
    assert registry.packages(registry.descriptions(project)) == {"chrony", "qemu-utils"}


def test_ports_with_the_units_that_may_hold_them(project: Path) -> None:
    nova, swift = registry.ports(registry.descriptions(project))
    assert nova == {
        "role": "nova",
        "protocol": "tcp",
        "port": 8774,
        "groups": ["controller"],
        "plane": "management",
        "units": ["libvirtd.socket", "nova-api.service", "nova-novncproxy.service"],
    }
    assert (swift["port"], swift["plane"], swift["groups"]) == (6200, "storage", ["storage"])


def test_the_options_of_a_lock_are_those_of_all_its_files() -> None:
    described = {
        "one": {
            "lock": "shared",
            "config": [
                {"file": "a.conf", "namespaces": ["x", "y"]},
                {"file": "a.conf", "namespaces": ["y", "w"], "groups": ["compute"]},
                {"file": "b.conf"},
            ],
        },
        "two": {"lock": "shared", "config": [{"file": "a.conf", "namespaces": ["z"]}]},
        "three": {"lock": "own", "config": [{"file": "a.conf", "namespaces": ["v"]}]},
        "four": {"lock": "shared"},
    }
    assert registry.namespaces(described, "shared") == [["w", "x", "y"], ["z"]]


def test_types_of_the_catalog_are_known_by_the_role_that_serves_them() -> None:
    described = {
        "heat": {"catalog": [{"type": "orchestration"}, {"type": "cloudformation"}]},
        "keystone": {"catalog": {"type": "identity"}},
        # An account alone is no endpoint.
        "ceilometer": {"catalog": {"roles": ["admin"]}},
        "chrony": {},
    }
    assert registry.catalog_types(described) == {
        "orchestration": "heat",
        "cloudformation": "heat",
        "identity": "keystone",
    }
