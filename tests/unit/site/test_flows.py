"""Listening sockets are held against the flows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn.errors import DescriptionError
from cairn.reference import contents
from cairn.site import flows
from cairn.site.planes import GROUPS
from tests.lab.cloud import sockets

SITE: dict[str, Any] = {
    "vips": {"internal": "192.0.2.250", "public": "203.0.113.250"},
    "planes": {"management": {"vip": "192.0.2.250"}, "storage": {"vip": None}},
    "hosts": {
        "controller1": {
            "groups": ["controller"],
            "addresses": {"management": "192.0.2.1", "storage": "198.51.100.1"},
        },
        "storage1": {
            "groups": ["storage"],
            "addresses": {"management": "192.0.2.31", "storage": "198.51.100.31"},
        },
    },
}
FLOWS = [
    ("api", "http", "all", "controller", 5000, "tcp", "management"),
    ("api", "http", "clients", "controller", 5000, "tcp", "public"),
    ("iSCSI", "native", "compute", "storage", 3260, "tcp", "storage"),
    ("VNC", "native", "controller", "storage", "5900-5910", "tcp", "management"),
    ("SSH", "native", "operator", "all", 22, "tcp", "management", "why"),
    ("VIP", "native", "controller", "controller", None, "vrrp", "management"),
]
KEYS = ("name", "kind", "from", "to", "port", "protocol", "plane", "wildcard")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flows.yml"
    entries = [dict(zip(KEYS, flow, strict=False)) for flow in FLOWS]
    path.write_text(yaml.safe_dump([e | {"from": [e["from"]], "to": [e["to"]]} for e in entries]))
    return path


def test_a_flow_that_says_too_little_or_too_much_is_refused(path: Path) -> None:
    path.write_text(path.read_text().replace("wildcard", "wildcrad"))
    with pytest.raises(DescriptionError, match="SSH"):
        flows.read(path)
    path.write_text("- {name: x, kind: http}\n")
    with pytest.raises(DescriptionError, match="'name': 'x'"):
        flows.read(path)


def test_ports_are_one_many_or_none(path: Path) -> None:
    ports = {flow.name: flow.port for flow in flows.read(path)}
    assert ports == {"api": "5000", "iSCSI": "3260", "VNC": "5900-5910", "SSH": "22", "VIP": ""}


def test_preflight_knows_who_may_hold_the_sites_udp_ports() -> None:
    ours = [f for f in flows.read() if f.protocol == "udp" and set(f.targets) & {"all", *GROUPS}]
    held = flows.ports(ours)
    assert {port["port"] for port in held} == {p for flow in ours for p in flow.ports or ()}
    (time,) = [port for port in held if port["role"] == "time"]
    assert (time["groups"], time["plane"]) == (["controller"], "management")
    assert "chrony.service" in time["units"]


@pytest.fixture(scope="module")
def configurations() -> dict[str, list[str]]:
    """Group of the example to the text of every file that its hosts get."""
    read, found = contents.inventory(), dict[str, list[str]]()
    for host in contents.representatives():
        model = read.model(host)
        manifests = [manifest for role in model.roles() if (manifest := model.manifest(role))]
        texts = [str(file.get("content") or "") for m in manifests for file in m["files"]]
        for group in model.me["groups"]:
            found.setdefault(group, []).extend(texts)
    return found


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("keystone", r"^auth_url ?=.*:5000"),
        ("nova metadata", r"^nova_metadata_port ?= ?8775"),
        ("databases", r"mysql\+pymysql://"),
        ("queues", r"rabbit://"),
        ("memcached", r"^memcache\w* ?=.*:11211"),
        ("OVN southbound", r"ssl:[\d.]+:6642"),
    ],
)
def test_clients_are_the_groups_with_the_servers_address_in_their_configuration(
    configurations: dict[str, list[str]], name: str, setting: str
) -> None:
    pattern = re.compile(setting, re.MULTILINE)
    clients = {g for g, texts in configurations.items() if any(map(pattern.search, texts))}
    inner = [f for f in flows.read() if f.name == name and f.plane == "management"]
    assert clients
    assert clients == {group for flow in inner for group in flow.sources} - {"operator"}


def test_hosts_that_call_a_public_endpoint_are_clients_of_the_public_vip(
    configurations: dict[str, list[str]],
) -> None:
    pattern = re.compile(r"^\[clients_heat\]\n(?:.+\n)*?endpoint_type ?= ?publicURL", re.MULTILINE)
    callers = {g for g, texts in configurations.items() if any(map(pattern.search, texts))}
    (public,) = [f for f in flows.read() if (f.name, f.plane) == ("heat", flows.PUBLIC)]
    assert callers == {"controller"} == set(public.sources) & set(GROUPS)


def test_what_ss_says() -> None:
    text = (
        'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=6))\n'
        'tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=1,fd=7))\n'
        "tcp LISTEN 0 256 198.51.100.31:3260 0.0.0.0:*\n"
        'tcp LISTEN 0 128 *:80 *:* users:(("epmd",pid=2,fd=3),("systemd",pid=1,fd=1))\n'
        'tcp LISTEN 0 128 [::ffff:192.0.2.1]:81 *:* users:(("java",pid=2,fd=3))\n'
        'udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=1,fd=1))\n'
    )
    assert sockets.listeners(text) == [
        sockets.Listener("tcp", "0.0.0.0", 22, "sshd"),  # noqa: S104
        sockets.Listener("tcp", "::", 22, "sshd"),
        sockets.Listener("tcp", "198.51.100.31", 3260, ""),
        sockets.Listener("tcp", "::", 80, "epmd"),
        sockets.Listener("tcp", "192.0.2.1", 81, "java"),
        sockets.Listener("udp", "127.0.0.53", 53, "systemd-resolve"),
    ]


@pytest.mark.parametrize(
    ("host", "address", "port", "protocol", "said"),
    [
        ("controller1", "192.0.2.1", 5000, "tcp", ""),
        ("controller1", "192.0.2.250", 5000, "tcp", ""),
        ("controller1", "203.0.113.250", 5000, "tcp", ""),
        ("controller1", "198.51.100.1", 5000, "tcp", "not on plane management, public"),
        ("controller1", "0.0.0.0", 5000, "tcp", "not on plane management, public"),  # noqa: S104
        ("controller1", "192.0.2.1", 5000, "udp", "no flow of this host has that port"),
        ("controller1", "127.0.0.1", 9999, "tcp", ""),
        ("controller1", "::1", 9999, "tcp", ""),
        ("controller1", "192.0.2.1", 3260, "tcp", "no flow of this host has that port"),
        ("storage1", "198.51.100.31", 3260, "tcp", ""),
        ("storage1", "192.0.2.31", 3260, "tcp", "not on plane storage (198.51.100.31)"),
        ("storage1", "192.0.2.31", 5907, "tcp", ""),
        ("storage1", "::", 22, "tcp", ""),
        ("storage1", "198.51.100.31", 22, "tcp", "not on plane management (192.0.2.31)"),
    ],
)
def test_a_socket_that_is_not_on_its_plane_is_found(
    path: Path, host: str, address: str, port: int, protocol: str, said: str
) -> None:
    found = sockets.strays(
        [sockets.Listener(protocol, address, port, "x")], flows.read(path), SITE, host
    )
    assert len(found) == bool(said)
    assert said in "".join(found)
