"""The operator's files: clouds.yaml, the CA certificate, the openstack command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

testinfra_hosts = ["ansible://operator"]

# Verifies a TLS server's certificate with a CA file or the system's CAs.
KNOCK = """
import socket, ssl, sys
host, port, *authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority[0] if authority else None)
with socket.create_connection((host, int(port)), timeout=30) as plain:
    with context.wrap_socket(plain, server_hostname=host) as secured:
        print(secured.version())
"""


@pytest.fixture
def variables(host: Any) -> dict[str, Any]:
    """Return the inventory's variables of the control node."""
    found: dict[str, Any] = host.ansible.get_variables()
    return found


@pytest.fixture
def folder(host: Any, variables: dict[str, Any]) -> Path:
    """Return the directory of the operator's files."""
    inventory = Path(host.backend.ansible_runner.inventory_file)
    return Path(variables.get("cairn_operator_dir") or inventory / ".operator").resolve()


def read(folder: Path, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the site's cloud in clouds.yaml."""
    clouds = yaml.safe_load((folder / "clouds.yaml").read_text())["clouds"]
    found: dict[str, Any] = clouds[variables.get("cairn_cloud_name", "cairn")]
    return found


@pytest.fixture
def cloud(folder: Path, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the site's cloud without the password: pytest shows the fixtures of a failed test."""
    found = read(folder, variables)
    del found["auth"]["password"]
    return found


def test_only_its_owner_reads_the_password(host: Any, folder: Path) -> None:
    assert host.file(str(folder)).mode == 0o700
    assert host.file(f"{folder}/clouds.yaml").mode == 0o600


def test_the_command_has_no_password_in_it(
    host: Any, folder: Path, variables: dict[str, Any]
) -> None:
    password = read(folder, variables)["auth"]["password"]
    contains_password = password in host.file(f"{folder}/openstack").content_string
    assert not contains_password


def test_a_token_can_be_had(host: Any, folder: Path) -> None:
    asked = host.run(f"{folder}/openstack token issue --format json --column expires")
    assert asked.rc == 0, asked.stderr
    assert json.loads(asked.stdout)["expires"]


def test_the_administrator_may_see_all_projects(host: Any, folder: Path) -> None:
    asked = host.run(f"{folder}/openstack project list --format json")
    assert asked.rc == 0, asked.stderr
    assert {"admin", "service"} <= {project["Name"] for project in json.loads(asked.stdout)}


def test_the_authority_vouches_for_the_cloud_and_nobody_else_does(
    host: Any, folder: Path, variables: dict[str, Any], cloud: dict[str, Any]
) -> None:
    url = urlsplit(cloud["auth"]["auth_url"])
    if url.scheme != "https" or "cacert" not in cloud:
        pytest.skip("the site has no certificate of Cairn's own authority at its public address")
    assert cloud["cacert"] == f"{folder}/ca.pem"
    # The inventory's interpreter runs where the cloud can be reached.
    python = variables.get("ansible_python_interpreter", "python3")
    ask = f"{python} -c '{KNOCK}' {url.hostname} {url.port}"
    known = host.run(f"{ask} {cloud['cacert']}")
    assert known.rc == 0, known.stderr
    stranger = host.run(ask)
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.stderr
