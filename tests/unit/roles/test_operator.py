"""What the operator gets."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.template import Templar, trust_as_template

from cairn.service.model import Model


@pytest.mark.parametrize("ca_file", ["/site/.operator/ca.pem", ""])
def test_the_cloud_is_reached_over_tls_and_its_certificate_verified(
    root: Path, make_model: Callable[..., Model], secrets: dict[str, str], ca_file: str
) -> None:
    variables: dict[str, Any] = {
        "ansible_managed": "made",
        "cairn_secrets": secrets,
        "operator_cloud": "cairn",
        "operator_ca_file": ca_file,
        "__operator_site": make_model().site,
    }
    text = (root / "roles/operator/templates/clouds.yaml.j2").read_text()
    made = Templar(variables=variables).template(trust_as_template(text))
    cloud = yaml.safe_load(made)["clouds"]["cairn"]
    assert cloud["auth"]["auth_url"] == "https://cloud.example:5000/v3"
    assert cloud.get("cacert", "") == ca_file
    assert "verify" not in cloud


ODD = """my site's "50 %" \\ $HOME #1: yes"""


@pytest.fixture
def render(
    root: Path, tmp_path: Path, make_model: Callable[..., Model], secrets: dict[str, str]
) -> Callable[[str], str]:
    """Render a template for an inventory whose path needs quotes everywhere."""
    site = tmp_path / ODD
    site.mkdir()

    def rendered(name: str) -> str:
        variables = {
            "ansible_managed": "made",
            "cairn_secrets": secrets,
            "operator_cloud": "no",
            "operator_directory": f"{site}/.operator",
            "operator_ca_file": f"{site}/.operator/ca.pem",
            "ansible_playbook_python": f"{site}/bin/python",
            "inventory_dir": str(site),
            "__operator_project": str(site),
            "__operator_site": make_model().site | {"region": "1"},
        }
        text = (root / "roles/operator/templates" / name).read_text()
        return str(Templar(variables=variables).template(trust_as_template(text)))

    return rendered


def test_an_inventory_may_lie_in_any_folder(
    render: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / ODD
    clouds = yaml.safe_load(render("clouds.yaml.j2"))["clouds"]
    assert clouds["no"]["cacert"] == f"{site}/.operator/ca.pem"
    assert clouds["no"]["region_name"] == "1"

    (site / "bin").mkdir()
    python = site / "bin/python"
    python.write_text('#!/bin/sh\necho "$OS_CLOUD:$OS_CLIENT_CONFIG_FILE:$*"\n')
    python.chmod(0o755)
    command = ["sh", "-c", render("openstack.j2"), "openstack", "server", "list"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    config = f"{site}/.operator/clouds.yaml"
    assert done.stdout == f"no:{config}:-m openstackclient.shell server list\n"

    def words(line: str) -> list[str]:
        return [word.replace("%%", "%") for word in shlex.split(line)]

    def unit() -> dict[str, str]:
        lines = render("renew.service.j2").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    monkeypatch.delenv("CAIRN_VAULT_PASSWORD_FILE", raising=False)
    made = unit()
    assert "Environment" not in made
    assert words(made["ExecStart"].replace("$$", "$")) == [
        f"{site}/bin/ansible-playbook", "-i", str(site), "playbooks/renew.yml"
    ]  # fmt: skip
    assert made["WorkingDirectory"] == str(site).replace("%", "%%")
    monkeypatch.setenv("CAIRN_VAULT_PASSWORD_FILE", f"{site}/word")
    assert words(unit()["Environment"]) == [f"CAIRN_VAULT_PASSWORD_FILE={site}/word"]


def test_each_site_of_a_machine_has_a_timer_of_its_own(root: Path) -> None:
    text = yaml.safe_load((root / "roles/operator/vars/main.yml").read_text())["__operator_unit"]
    names = [
        Templar(variables={"inventory_dir": path}).template(trust_as_template(text))
        for path in ("/srv/cairn/site", "/srv/cairn/other site", "/opt/site")
    ]
    assert names == [
        "cairn-renew-srv-cairn-site",
        "cairn-renew-srv-cairn-other-site",
        "cairn-renew-opt-site",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "{site}/.operator"), ({"cairn_operator_dir": None}, "{site}/.operator"),
     ({"cairn_operator_dir": "~/clouds/a b"}, "{home}/clouds/a b")],
)  # fmt: skip
def test_all_agree_on_the_operators_directory(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Callable[[str], ModuleType],
    given: dict[str, Any],
    expected: str,
) -> None:
    """The roles that write and read it, and `make openstack`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    site = tmp_path / "site"
    site.mkdir()
    (site / "hosts.yml").write_text(yaml.safe_dump({"operator": {"hosts": {"me": given}}}))

    def rendered(path: str, name: str) -> str:
        text = trust_as_template(yaml.safe_load((root / path).read_text())[name])
        return str(Templar(variables={"inventory_dir": str(site), **given}).template(text))

    found = {
        str(script("tools/openstack.py").directory(site)),
        rendered("roles/operator/defaults/main.yml", "operator_directory"),
        rendered("roles/verify/defaults/main.yml", "verify_directory"),
        rendered("roles/swift/vars/main.yml", "__swift_kept").removesuffix("/rings"),
    }
    assert found == {expected.format(site=site, home=tmp_path / "home")}
