"""What goes through a proxy and what of the cloud's own never does, tried on loopback."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.template import Templar, trust_as_template

from cairn.preflight.finding import ERROR, WARNING
from cairn.preflight.host import check_index
from cairn.preflight.network import check_proxies
from cairn.service import venv_cache
from cairn.site import proxies
from cairn.verify import run as verify_run
from cairn_host import errors, paths
from cairn_host.identity import client
from cairn_host.probe import facts
from cairn_host.service import health, virtualenv

Data = dict[str, Any]
UV = Path(sys.executable).with_name("uv")
LOCK = "no-such-package-of-cairn==1 --hash=sha256:" + 64 * "0"


class Listener:
    """An HTTP server that notes what it is asked and answers 404, or 401 without a login."""

    def __init__(self, wants_login: bool = False) -> None:
        self.asked: list[tuple[str, str]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(handler) -> None:  # noqa: N805
                login = handler.headers.get("Authorization", "")
                login = login or handler.headers.get("Proxy-Authorization", "")
                self.asked.append((handler.path, login))
                handler.send_response(401 if wants_login and not login else 404)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            do_GET = do_POST = do_HEAD = do_CONNECT = answer  # noqa: N815

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def start(wants_login: bool = False) -> Listener:
        listeners.append(Listener(wants_login))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.server.shutdown()
        listener.server.server_close()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch, listen: Callable[..., Listener]) -> Listener:
    """A proxy in the environment for everything, as /etc/environment would have it."""
    proxy = listen()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{proxy.at}")
    return proxy


SITE = {
    "planes": {"management": {"cidr": "10.0.0.0/24"}, "service": {"cidr": "10.0.2.0/24"}},
    "vips": {"internal": "10.0.0.10", "public": "10.0.2.10"},
    "names": {"internal": "api.internal", "public": "10.0.2.10"},
}
OWN = "localhost,127.0.0.0/8,::1,10.0.0.0/24,10.0.2.0/24,10.0.0.10,10.0.2.10,api.internal"


def test_no_proxy_no_environment() -> None:
    assert proxies.environment({}, SITE) == {}
    assert proxies.environment({"cairn_http_proxy": "", "cairn_no_proxy": ["a"]}, SITE) == {}


@pytest.mark.parametrize("excepted", [["a.example", ".b.example"], "a.example, .b.example"])
def test_one_proxy_is_for_both_and_the_clouds_own_is_excepted(excepted: Any) -> None:
    given = {"cairn_http_proxy": "http://p:1", "cairn_no_proxy": excepted}
    found = proxies.environment(given, SITE)
    wanted = {
        "http_proxy": "http://p:1",
        "https_proxy": "http://p:1",
        "no_proxy": f"{OWN},a.example,.b.example",
    }
    assert found == wanted | {name.upper(): value for name, value in wanted.items()}


def test_a_proxy_for_https_alone() -> None:
    found = proxies.environment({"cairn_https_proxy": "http://p:1"}, SITE)
    assert found["HTTPS_PROXY"] == "http://p:1"
    assert "http_proxy" not in found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", {}),
        ("https://m.example/simple", {"UV_DEFAULT_INDEX": "https://m.example/simple"}),
        (
            "https://svc:wo%40rd@m.example:8443/simple",
            {
                "UV_DEFAULT_INDEX": "cairn=https://m.example:8443/simple",
                "UV_INDEX_CAIRN_USERNAME": "svc",
                "UV_INDEX_CAIRN_PASSWORD": "wo@rd",
            },
        ),
        (
            "https://token@m.example/simple",
            {
                "UV_DEFAULT_INDEX": "cairn=https://m.example/simple",
                "UV_INDEX_CAIRN_USERNAME": "token",
                "UV_INDEX_CAIRN_PASSWORD": "",
            },
        ),
    ],
)
def test_a_login_is_taken_out_of_the_index(url: str, found: dict[str, str]) -> None:
    assert proxies.index(url) == found


@pytest.mark.parametrize(
    ("host", "no_proxy", "excepted"),
    [
        ("10.0.0.10", ["10.0.0.0/8"], True),
        ("10.0.0.10", ["10.0.0.10"], True),
        ("10.0.0.10", ["10.0.0.1", "10.0.1.0/24"], False),
        ("api.internal", [".internal"], True),
        ("API.internal", ["api.Internal"], True),
        ("api.internal", ["10.0.0.0/8", "rnal"], False),
        ("api.internal", [], False),
    ],
)
def test_exceptions(host: str, no_proxy: list[str], excepted: bool) -> None:
    assert proxies.is_excepted(host, no_proxy) is excepted


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("", "")),
        ({"cairn_http_proxy": "http://p:1"}, ("", "")),
        (
            {
                "cairn_pypi_index": "http://me:secret@10.0.0.5/simple",
                "cairn_http_proxy": "http://p",
            },
            ("http://10.0.0.5/simple", ""),
        ),
        (
            {"cairn_pypi_index": "http://m.example/", "cairn_https_proxy": "http://p:1"},
            ("http://m.example/", ""),
        ),
        (
            {
                "cairn_pypi_index": "https://m.example/",
                "cairn_http_proxy": "http://p:1",
                "cairn_no_proxy": "example",
            },
            ("https://m.example/", ""),
        ),
        ({"cairn_http_proxy": "p.example:3128"}, ("", "")),
        ({"cairn_pypi_index": "https://m:x/", "cairn_http_proxy": "http://p:1"}, ("", "")),
    ],
)
def test_how_the_index_is_reached(variables: Data, expected: tuple[str, str]) -> None:
    assert proxies.asked_through(variables, SITE) == expected


@pytest.mark.parametrize(
    ("index", "packed", "severity"),
    [
        (None, False, None),
        ({"url": "https://index.example/simple", "problem": ""}, False, None),
        ({"url": "https://index.example/simple", "problem": "timed out"}, False, ERROR),
        ({"url": "https://index.example/simple", "problem": "timed out"}, True, WARNING),
    ],
)
def test_an_index_that_a_bare_host_does_not_reach(
    index: Any, packed: bool, severity: str | None
) -> None:
    found = check_index("x", {"index": index} if index else {}, packed)
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all("https://index.example/simple: timed out" in f.text for f in found)


def test_whether_anything_is_packed_for_a_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not venv_cache.any_for("debian13-x86_64-python3.13")
    stamp = venv_cache.Archive.of("nova-1", "debian13-x86_64-python3.13").stamp
    stamp.parent.mkdir(parents=True)
    stamp.write_text("0")
    assert venv_cache.any_for("debian13-x86_64-python3.13")
    assert not venv_cache.any_for("debian13-aarch64-python3.13")


# --- what goes through


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Data], str]:
    """Build a virtualenv of a package that does not exist; what uv says of it."""
    for name in ("SERVICES", "VENVS", "ARCHIVES", "UV_CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setattr(virtualenv, "PYTHON", sys.executable)

    def attempt(variables: Data) -> str:
        index = proxies.index(variables["cairn_pypi_index"])
        environment = index | proxies.environment(variables, SITE)
        with pytest.raises(errors.HostError) as refused:
            virtualenv.build("x-1", LOCK, "", UV, environment | {"UV_HTTP_RETRIES": "0"})
        return str(refused.value)

    return attempt


def test_package_builds_go_through_the_proxy(
    listen: Callable[..., Listener], build: Callable[[Data], str]
) -> None:
    proxy = listen()
    said = build(
        {
            "cairn_pypi_index": "http://index.invalid/simple",
            "cairn_http_proxy": f"http://me:very-secret@{proxy.at}",
        }
    )
    ((asked, login),) = proxy.asked
    assert asked == "http://index.invalid/simple/no-such-package-of-cairn/"
    assert login == "Basic bWU6dmVyeS1zZWNyZXQ="
    assert "very-secret" not in said


def test_package_builds_reach_an_index_of_the_clouds_own_directly(
    listen: Callable[..., Listener], build: Callable[[Data], str]
) -> None:
    proxy, index = listen(), listen(wants_login=True)
    said = build(
        {
            "cairn_pypi_index": f"http://svc:very-secret@{index.at}/simple",
            "cairn_http_proxy": f"http://{proxy.at}",
        }
    )
    assert proxy.asked == []
    assert index.asked[-1] == ("/simple/no-such-package-of-cairn/", "Basic c3ZjOnZlcnktc2VjcmV0")
    assert "very-secret" not in said


def test_package_builds_have_no_proxy_by_accident(
    everywhere: Listener, listen: Callable[..., Listener], build: Callable[[Data], str]
) -> None:
    index = listen()
    build({"cairn_pypi_index": f"http://{index.at}/simple"})
    assert everywhere.asked == []
    assert len(index.asked) == 1


@pytest.mark.parametrize("action", ["cairn_build", "cairn_stage"])
def test_actions_hand_index_and_proxy_to_the_build(
    script: Callable[[str], ModuleType], action: str
) -> None:
    made = object.__new__(script(f"plugins/action/{action}.py").ActionModule)
    variables = {
        "cairn_site": SITE,
        "cairn_pypi_index": trust_as_template("https://{{ site_mirror }}/simple"),
        "cairn_http_proxy": "http://p:1",
        "site_mirror": "m.example",
        "http_proxy": "http://another:1",
    }
    made._templar = Templar(variables=variables)
    found = made.environment(variables)
    assert found["UV_DEFAULT_INDEX"] == "https://m.example/simple"
    assert found["https_proxy"] == "http://p:1"
    assert found["no_proxy"] == OWN


# --- what never does


def test_the_catalog_is_asked_directly(
    everywhere: Listener, listen: Callable[..., Listener]
) -> None:
    keystone = listen()
    asked = client.Client(f"http://{keystone.at}/v3", "")
    assert asked._request("GET", "/regions").status_code == 404
    assert everywhere.asked == []
    assert keystone.asked == [("/v3/regions", "")]


def test_health_checks_ask_directly(everywhere: Listener, listen: Callable[..., Listener]) -> None:
    service = listen()
    address, port = service.at.split(":")
    assert health.http_problem(address, int(port), "/healthcheck") is None
    script = 'test -z "$http_proxy$https_proxy$all_proxy" && test -n "$PATH" && test -n "$HOME"'
    assert health.command_problem(["sh", "-c", script]) is None
    assert everywhere.asked == []


def test_the_proof_asks_the_cloud_directly_and_nothing_else(
    tmp_path: Path,
    everywhere: Listener,
    listen: Callable[..., Listener],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "own.example")  # and takes back afterwards what the proof adds
    keystone = listen()
    names = ("username", "password", "project_name", "user_domain_id", "project_domain_id")
    who = dict.fromkeys(names, "x")
    config = tmp_path / "clouds.yaml"
    config.write_text(
        json.dumps({"clouds": {"cairn": {"auth": {"auth_url": f"http://{keystone.at}/v3", **who}}}})
    )
    cloud = verify_run.admin_cloud(config, "cairn")
    with pytest.raises(verify_run.ERRORS):
        list(cloud.identity.projects())
    assert everywhere.asked == []
    assert keystone.asked
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "own.example,127.0.0.1"


@pytest.mark.parametrize("before", ["", "own.example,.b.example"])
def test_the_openstack_command_asks_the_cloud_directly(
    root: Path, tmp_path: Path, before: str
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$no_proxy $NO_PROXY $https_proxy"\n')
    python.chmod(0o755)
    variables = {
        "ansible_managed": "made",
        "operator_directory": "/site/.operator",
        "operator_cloud": "cairn",
        "ansible_python_interpreter": str(python),
        "__operator_site": SITE,
    }
    text = (root / "roles/operator/templates/openstack.j2").read_text()
    script = Templar(variables=variables).template(trust_as_template(text))
    environment = {"NO_PROXY": before, "https_proxy": "http://p:1"}
    said = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout.split()
    own = f"{before or 'localhost'},api.internal,10.0.2.10,10.0.0.10"
    assert said == [own, own, "http://p:1"]


# --- findings


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({}, None),
        ({"cairn_http_proxy": "http://p.example:3128", "cairn_https_proxy": ""}, None),
        ({"cairn_https_proxy": "socks5h://me:secret@p.example"}, None),
        ({"cairn_pypi_index": "https://me:secret@m.example/simple"}, None),
        ({"cairn_http_proxy": "p.example:3128"}, "cairn_http_proxy is no URL that starts with"),
        ({"cairn_http_proxy": "http://me:secret@p:x"}, "cairn_http_proxy is no URL"),
        ({"cairn_pypi_index": "me:secret@m.example"}, "cairn_pypi_index is no URL that starts"),
    ],
)
def test_urls_of_the_inventory(variables: Data, text: str | None) -> None:
    found = check_proxies("x", variables, {}, "api.internal")
    assert [f.severity for f in found] == [ERROR] * (text is not None)
    assert text is None or (text in found[0].text and "secret" not in found[0].text)


@pytest.mark.parametrize(
    ("files", "fires"),
    [
        ({}, False),
        ({"etc/systemd/system.conf": "[Manager]\n#DefaultEnvironment=http_proxy=x\n"}, False),
        ({"etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=LANG=C\n"}, False),
        (
            {
                "etc/systemd/system.conf.d/p.conf": '[Manager]\nDefaultEnvironment="https_proxy='
                'http://me:secret@p:1" "NO_PROXY=localhost,.internal"\n'
            },
            False,
        ),
        (
            {
                "etc/systemd/system.conf.d/p.conf": "DefaultEnvironment=http_proxy=http://p:1\n",
                "etc/systemd/system.conf.d/q.conf": "DefaultEnvironment=\n",
            },
            False,
        ),
        (
            {"etc/systemd/system.conf.d/p.conf": "DefaultEnvironment=HTTP_PROXY=http://me:s3@p\n"},
            True,
        ),
    ],
)
def test_a_proxy_for_all_services(tmp_path: Path, files: dict[str, str], fires: bool) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host = {"service_proxy": facts.read_service_proxy(tmp_path)}
    assert "s3" not in str(host)
    found = check_proxies("x", {}, host, "api.internal")
    assert len(found) == fires
    if fires:
        assert "/etc/systemd/system.conf.d/p.conf" in found[0].text
