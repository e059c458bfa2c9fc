"""Commands of the docs do in the lab's cloud what the pages say."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.cloud import commands, terminal
from tests.lab.cloud.commands import Command
from tests.lab.deployed import ROOT, Cloud

pytestmark = pytest.mark.lab
SECONDS = 900
CLUSTER = 1 << 16


def empty_qcow2(gigabytes: int) -> bytes:
    """An image without data, as the specification of version 2 has it: an upload of any size."""
    size, level1, table, block = gigabytes << 30, 1, 2, 3
    entries = -(-size // (CLUSTER * CLUSTER // 8))
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, size, 0, entries,
        level1 * CLUSTER, table * CLUSTER, 1, 0, 0,
    )  # fmt: skip
    counts = struct.pack(">4H", 1, 1, 1, 1)
    parts = (header, b"", struct.pack(">Q", block * CLUSTER), counts)
    return b"".join(part.ljust(CLUSTER, b"\0") for part in parts)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    found = Cloud(tmp_path_factory.mktemp("docs"), lab=os.environ.get("CAIRN_LAB"))
    found.must_exist()
    return found


@pytest.fixture(scope="module")
def environment(cloud: Cloud) -> dict[str, str]:
    """An operator's, with the project's tools on the path."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "ANSIBLE_"))}
    return own | {
        "CAIRN_LAB": cloud.name,
        "LAB": cloud.name,
        "LC_ALL": "C.UTF-8",
        "PATH": f"{ROOT}/.venv/bin:{own['PATH']}",
    }


@pytest.fixture(scope="module")
def in_lab(cloud: Cloud, lab_site: dict[str, Any]) -> Callable[[Command], str]:
    """A function that gives a command in the lab's words."""
    image = cloud.scratch / commands.IMAGE
    image.write_bytes(empty_qcow2(3))
    key = ROOT / ".lab" / cloud.name / "id_ed25519.pub"
    planes = yaml.safe_load((ROOT / cloud.inventory / "group_vars/all/planes.yml").read_text())
    words = commands.replacements(planes, image, key, lab_site["groups"]["compute"][-1])
    return lambda command: commands.in_lab(command, words, cloud.inventory)


@pytest.fixture(scope="module")
def shell(cloud: Cloud, environment: dict[str, str]) -> Callable[..., None]:
    """Run a command line as an operator does; what is typed is read by its prompts."""

    def run(line: str, typed: str = "") -> None:
        command = ["bash", "-c", line]
        if typed:
            status, printed = terminal.answer(command, typed, ROOT, environment, SECONDS)
        else:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", check=False, timeout=SECONDS,
            )  # fmt: skip
            # What `token issue` prints is a secret.
            status, printed = done.returncode, done.stderr
        assert status == 0, f"{line}: exit {status}\n{printed[-3000:]}"

    return run


@pytest.mark.parametrize("command", commands.others(), ids=lambda command: str(command.plain))
def test_a_command_that_looks_at_the_cloud_ends_well(
    command: Command, in_lab: Callable[[Command], str], shell: Callable[..., None]
) -> None:
    shell(in_lab(command))


@pytest.fixture
def seen(cloud: Cloud) -> Iterator[Callable[[], dict[str, Any]]]:
    """What the first day has created; nothing of it is there before and after."""

    def do(verb: str) -> Any:
        done = subprocess.run(
            [
                *(str(cloud.python), "-m", "tests.lab.cloud.first_day"),
                *(verb, str(cloud.operator / "clouds.yaml")),
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    do("remove")
    yield lambda: dict(do("show"))
    do("remove")


def client_of(cloud: Cloud, password: str, file: Path) -> str:
    """The openstack command of ada, inside the lab's network."""
    admin = yaml.safe_load((cloud.operator / "clouds.yaml").read_text())["clouds"]["cairn"]
    ada = {
        "auth": {
            "auth_url": admin["auth"]["auth_url"],
            "username": f"{commands.PREFIX}ada",
            "password": password,
            "project_name": f"{commands.PREFIX}web",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": admin["region_name"],
        "cacert": str(cloud.operator / "ca.pem"),
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({"clouds": {"cloud": ada}}))
    return f"OS_CLIENT_CONFIG_FILE={file} {cloud.python} -m openstackclient.shell"


def test_the_first_day(
    cloud: Cloud,
    in_lab: Callable[[Command], str],
    shell: Callable[..., None],
    seen: Callable[[], dict[str, Any]],
    tmp_path: Path,
) -> None:
    """The page from its beginning to its end, in its order."""
    flat = cloud.openstack(
        *("network", "list", "--external", "--provider-network-type", "flat"),
        *("--provider-physical-network", "physnet1", "-f", "value", "-c", "Name"),
    )
    assert flat.returncode == 0, flat.stderr
    if flat.stdout.strip():
        pytest.skip(f"physnet1 has a flat network already: {flat.stdout.strip()}")
    password = secrets.token_urlsafe(12)
    client = client_of(cloud, password, tmp_path / "clouds.yaml")
    for command in commands.of_page(commands.FIRST_DAY):
        line = in_lab(command)
        if line.startswith("openstack --os-cloud"):
            line = f"{client} {line.removeprefix('openstack ')}"
        shell(line, typed=password if "--password-prompt" in line else "")
    made = seen()
    assert made["mtu"]["external"] == made["mtu"]["campus"] == 1500
    assert sorted(made["external"]) == ["campus", "external"]
    assert made["flavors"] == {"small": 2048, "medium": 4096, "large": 16384}
    assert made["images"] == {"debian-13": "active"}
    assert (made["pools"], made["users"], made["instances"]) == (["default"], ["ada"], 20)
    assert {"network:router_interface", "network:router_gateway"} <= set(made["ports"])
    planes = yaml.safe_load((ROOT / cloud.inventory / "group_vars/all/planes.yml").read_text())
    first, last = planes["cairn_provider_networks"]["external"]["allocation"].split("-")
    (address,) = map(ipaddress.IPv4Address, made["addresses"])
    assert ipaddress.IPv4Address(first) <= address <= ipaddress.IPv4Address(last)
