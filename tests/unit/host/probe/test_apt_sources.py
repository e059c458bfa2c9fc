"""Where packages come from, as apt on this machine understands configurations made up here."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn_host.probe import apt_sources
from cairn_host.probe.apt_sources import Apt

needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs Debian's apt")
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files below a folder that apt takes for the root of the system."""
    monkeypatch.setattr(apt_sources, "REMEMBERED", tmp_path / "remembered.json")
    main = tmp_path / "main.conf"
    main.write_text(f'Dir "{tmp_path}";\n')
    monkeypatch.setenv("APT_CONFIG", str(main))
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    put("etc/apt/sources.list", "")
    put("etc/apt/apt.conf.d/00none", "")
    return put


DEB822 = """\
Types: deb
# a snapshot would be http://commented.example/archive
URIs: http://a.example/debian
 https://b.example/debian/
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: http://in-a-key.example/
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://sources-only.example/debian
Suites: trixie
Components: main
"""
CLOUD_IMAGE = """\
Types: deb deb-src
URIs: mirror+file:/etc/apt/mirrors/debian.list
Suites: trixie trixie-updates trixie-backports
Components: main

Types: deb deb-src
URIs: mirror+file:/etc/apt/mirrors/debian-security.list
Suites: trixie-security
Components: main
"""


@needs_apt
@pytest.mark.parametrize(
    ("name", "text", "uris"),
    [
        (
            "sources.list",
            "# deb http://commented.example/ x\n"
            "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian trixie main # why\n"
            "deb-src http://sources.example/debian trixie main\n",
            ["http://a.example/debian/"],
        ),
        ("sources.list.d/flat.list", "deb http://a.example/repo ./\n", ["http://a.example/repo/"]),
        ("sources.list.d/off.list.disabled", "deb http://a.example/repo ./\n", []),
        ("sources.list.d/saved.list.save", "deb http://a.example/repo ./\n", []),
        (
            "sources.list.d/debian.sources",
            DEB822,
            ["http://a.example/debian/", "https://b.example/debian/"],
        ),
        (
            "sources.list.d/debian.sources",
            CLOUD_IMAGE,
            [
                "mirror+file:/etc/apt/mirrors/debian.list/",
                "mirror+file:/etc/apt/mirrors/debian-security.list/",
            ],
        ),
        ("sources.list", "deb file:///srv/mirror trixie main\n", ["file:/srv/mirror/"]),
        ("sources.list", "deb copy:/srv/mirror trixie main\n", ["copy:/srv/mirror/"]),
        (
            "sources.list",
            "deb cdrom:[Debian GNU/Linux 13.1.0 _Trixie_ - Official]/ trixie main\n",
            ["cdrom://[Debian GNU/Linux 13.1.0 _Trixie_ - Official]/"],
        ),
        (
            "sources.list",
            "deb tor+http://x.example/debian trixie main\n",
            ["tor+http://x.example/debian/"],
        ),
        ("sources.list", "deb mirror://m.example/l trixie main\n", ["mirror://m.example/l/"]),
    ],
)
def test_sources_in_every_form(write: Write, name: str, text: str, uris: list[str]) -> None:
    write(f"etc/apt/{name}", text)
    apt = apt_sources.ask_apt()
    assert (apt.problem, apt.uris) == ("", uris)


@needs_apt
def test_sources_that_apt_cannot_read(write: Write) -> None:
    write("etc/apt/sources.list.d/bad.list", "deb http://svc:word@a.example\n")
    problem = apt_sources.ask_apt().problem
    assert problem.startswith("Malformed entry 1 in list file")
    assert "bad.list" in problem


@needs_apt
@pytest.mark.parametrize(
    ("text", "uri", "proxy"),
    [
        ('Acquire::http::Proxy "http://p:1";', "http://a.example/", "http://p:1"),
        ('Acquire { HTTP::proxy "http://p:1"; }', "http://a.example/", "http://p:1"),
        ('acquire { http { proxy "http://p:1"; }; };', "http://a.example/", "http://p:1"),
        ('Acquire::http::Proxy "http://p:1";', "https://a.example/", "http://p:1"),
        ('Acquire::https::Proxy "http://p:1";', "http://a.example/", ""),
        ('Acquire::https::Proxy "http://p:1";', "https://a.example/", "http://p:1"),
        ('#Acquire::http::Proxy "http://p:1";', "http://a.example/", ""),
        (
            'Acquire::http::Proxy { "http://p:1"; own.example "DIRECT"; };\n'
            'Acquire::http::Proxy "http://p:1";',
            "http://own.example/debian",
            "",
        ),
        (
            'Acquire::http::Proxy "http://p:1"; Acquire::http::Proxy::A.example "http://q:2";',
            "http://a.example/debian",
            "http://q:2",
        ),
        ('Acquire::http::Proxy "DIRECT";', "http://a.example/", ""),
    ],
)
def test_a_proxy_in_every_form(write: Write, text: str, uri: str, proxy: str) -> None:
    write("etc/apt/apt.conf.d/80proxy", text + "\n")
    assert apt_sources.proxy_of(uri, apt_sources.ask_apt()) == proxy


@needs_apt
def test_a_proxy_of_apt_conf_itself(write: Write) -> None:
    write("etc/apt/apt.conf", 'Acquire::http::proxy "http://p:1/";\n')
    assert apt_sources.proxy_of("http://a/", apt_sources.ask_apt()) == "http://p:1/"


@needs_apt
@pytest.mark.parametrize("option", ["Proxy-Auto-Detect", "ProxyAutoDetect"])
def test_a_proxy_that_a_command_detects(write: Write, option: str) -> None:
    # apt runs it as its own user, who cannot look into pytest's folder.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        command = Path(folder, "detect")
        answer = "case $1 in *own*) echo DIRECT ;; *) echo http://p:1 ;; esac"
        command.write_text(f"#!/bin/sh\n{answer}\n")
        command.chmod(0o755)
        write("etc/apt/apt.conf.d/80proxy", f'Acquire::http::{option} "{command}";\n')
        apt = apt_sources.ask_apt()
        assert apt_sources.proxy_of("http://a.example/debian", apt) == "http://p:1"
        assert apt_sources.proxy_of("http://own.example/debian", apt) == ""


@pytest.mark.parametrize(
    ("uri", "environment", "proxy"),
    [
        ("http://a.example/", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("https://a.example/", {"http_proxy": "http://p:1"}, "http://p:1"),
        (
            "https://a.example/",
            {"http_proxy": "http://p:1", "https_proxy": "http://q:2"},
            "http://q:2",
        ),
        ("http://a.example/", {"https_proxy": "http://q:2"}, ""),
        ("http://a.example/", {"http_proxy": "http://p:1", "no_proxy": "b,.Example"}, ""),
        ("http://a.example/", {"http_proxy": "http://p:1", "no_proxy": "b,,"}, "http://p:1"),
    ],
)
def test_without_an_option_the_environment_counts(
    uri: str, environment: dict[str, str], proxy: str
) -> None:
    assert apt_sources.proxy_of(uri, Apt(), environment) == proxy


def test_options_go_over_the_environment_but_for_no_proxy() -> None:
    apt = Apt(options={"acquire::http::proxy": "http://p:1"})
    environment = {"http_proxy": "http://q:2", "no_proxy": "own.example"}
    assert apt_sources.proxy_of("http://a.example/", apt, environment) == "http://p:1"
    assert apt_sources.proxy_of("http://own.example/", apt, environment) == ""


# --- does it answer?


class Server:
    """A server on this machine that gives every connection the same answer."""

    def __init__(self, answer: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.answer = answer
        self.asked: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(1024).decode())
                connection.sendall(self.answer)


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Server]]:
    servers = []

    def start(answer: bytes) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.listener.close()


@pytest.fixture
def methods(tmp_path: Path) -> dict[str, str]:
    """apt's options with the methods that every Debian has."""
    folder = tmp_path / "methods"
    folder.mkdir()
    for name in ("http", "https", "mirror", "mirror+file", "mirror+http", "file", "ssh"):
        (folder / name).touch()
    return {"dir::bin::methods": str(folder)}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "404 Not Found"])
def test_a_mirror_that_answers(serve: Callable[[bytes], Server], status: str) -> None:
    server = serve(f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert apt_sources.ask(f"http://svc:word@127.0.0.1:{server.port}/debian") == ""
    assert server.asked[0].startswith("HEAD /debian HTTP/1.0\r\n")
    assert "word" not in server.asked[0]


def test_a_mirror_that_is_something_else(serve: Callable[[bytes], Server]) -> None:
    port = serve(b"220 smtp\r\n").port
    said = apt_sources.ask(f"http://127.0.0.1:{port}/")
    assert said == f"127.0.0.1 port {port} does not speak HTTP"


def test_a_mirror_that_refuses() -> None:
    port = closed_port()
    said = apt_sources.ask(f"https://127.0.0.1:{port}/")
    assert said == f"127.0.0.1 port {port}: Connection refused"


def test_a_mirror_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_sources, "MIRROR_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = apt_sources.ask(f"http://127.0.0.1:{port}/")
    assert said == f"127.0.0.1 port {port}: timed out"


def test_a_mirror_without_an_address() -> None:
    assert apt_sources.ask("http://mirror.invalid/") == "mirror.invalid does not resolve"


def test_through_a_proxy_the_mirror_itself_need_not_resolve(
    serve: Callable[[bytes], Server],
) -> None:
    proxy = serve(b"HTTP/1.1 200 OK\r\n\r\n")
    at = f"http://me:secret@127.0.0.1:{proxy.port}"
    assert apt_sources.ask("http://mirror.invalid/debian", at) == ""
    assert apt_sources.ask("https://mirror.invalid/debian", at) == ""
    first, second = proxy.asked
    assert first.startswith("HEAD http://mirror.invalid/debian HTTP/1.0\r\n")
    assert second.startswith("CONNECT mirror.invalid:443 HTTP/1.0\r\n")
    token = base64.b64encode(b"me:secret").decode()
    assert f"Proxy-Authorization: Basic {token}" in first


@pytest.mark.parametrize(
    ("status", "url", "said"),
    [
        (407, "http://m.invalid/", "wants a login (HTTP 407)"),
        (504, "http://m.invalid/", "does not get through (HTTP 504)"),
        (403, "https://m.invalid/", "does not get through (HTTP 403)"),
    ],
)
def test_a_proxy_that_does_not_let_through(
    serve: Callable[[bytes], Server], status: int, url: str, said: str
) -> None:
    port = serve(f"HTTP/1.1 {status} No\r\n\r\n".encode()).port
    problem = apt_sources.ask(url, f"http://me:secret@127.0.0.1:{port}")
    assert problem == f"the proxy 127.0.0.1 port {port} {said}"


def test_a_proxy_that_is_down() -> None:
    port = closed_port()
    said = apt_sources.ask("http://m.invalid/", f"http://me:secret@127.0.0.1:{port}")
    assert said == f"127.0.0.1 port {port}: Connection refused"


def test_folders(tmp_path: Path, methods: dict[str, str]) -> None:
    apt = Apt(options=methods)
    (tmp_path / "my mirror").mkdir()
    for scheme in ("file", "copy"):
        assert apt_sources.problem_of(f"{scheme}:{tmp_path}/my%20mirror/", apt) == ""
        assert (
            apt_sources.problem_of(f"{scheme}:{tmp_path}/gone/", apt) == "there is no such folder"
        )


def test_a_list_of_mirrors(
    tmp_path: Path, methods: dict[str, str], serve: Callable[[bytes], Server]
) -> None:
    apt, path = Apt(options=methods), tmp_path / "debian.list"
    uri = f"mirror+file:{path}/"
    assert apt_sources.problem_of(uri, apt) == f"{path}: No such file or directory"
    path.write_text("# none yet\n")
    assert apt_sources.problem_of(uri, apt) == f"{path} names no mirror"
    dead = closed_port()
    path.write_text(f"http://svc:word@127.0.0.1:{dead}/debian\tpriority:1\n")
    assert apt_sources.problem_of(uri, apt) == (
        f"http://svc:********@127.0.0.1:{dead}/debian: 127.0.0.1 port {dead}: Connection refused"
    )
    alive = serve(b"HTTP/1.1 200 OK\r\n\r\n").port
    path.write_text(f"{path.read_text()}http://127.0.0.1:{alive}/debian priority:2\n")
    assert apt_sources.problem_of(uri, apt) == ""


def test_a_list_that_a_server_has(
    methods: dict[str, str], serve: Callable[[bytes], Server]
) -> None:
    apt, server = Apt(options=methods), serve(b"HTTP/1.1 200 OK\r\n\r\n")
    for scheme in ("mirror", "mirror+http"):
        assert apt_sources.problem_of(f"{scheme}://127.0.0.1:{server.port}/list.txt/", apt) == ""
    assert all(asked.startswith("HEAD /list.txt HTTP") for asked in server.asked)
    assert "refused" in apt_sources.problem_of(f"mirror://127.0.0.1:{closed_port()}/l/", apt)


def test_other_methods(methods: dict[str, str]) -> None:
    apt = Apt(options=methods)
    assert apt_sources.problem_of("ssh://a.example/debian/", apt) == ""
    assert "apt-transport-tor" in apt_sources.problem_of("tor+http://x.onion/debian/", apt)
    assert "CD" in apt_sources.problem_of("cdrom://[Debian 13]/", apt)


@needs_apt
def test_what_apt_cannot_read_is_reported(write: Write) -> None:
    write("etc/apt/sources.list.d/bad.list", "deb http://svc:word@a.example\n")
    ((where, problem),) = apt_sources.read_mirrors()
    assert where == "/etc/apt"
    assert problem.startswith("apt cannot read it: Malformed entry 1")


@needs_apt
def test_reports_hide_passwords(write: Write, tmp_path: Path) -> None:
    port = closed_port()
    write("etc/apt/sources.list", f"deb https://svc:word@127.0.0.1:{port}/debian trixie main\n")
    write("etc/apt/sources.list.d/more.list", f"deb file:{tmp_path} trixie main\n")
    said = f"127.0.0.1 port {port}: Connection refused"
    assert dict(apt_sources.read_mirrors()) == {
        f"https://svc:********@127.0.0.1:{port}/debian": said,
        f"file:{tmp_path}": "",
    }


# --- asked once


def test_apt_is_asked_again_only_when_its_configuration_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask() -> Apt:
        asked.append(1)
        return Apt(["http://svc:word@a.example/"], {"acquire::http::proxy": "http://p:1"})

    monkeypatch.setattr(apt_sources, "ask_apt", ask)
    folder, remembered = tmp_path / "apt", tmp_path / "run/apt.json"
    monkeypatch.setattr(apt_sources, "CONFIGURATION_FOLDER", folder)
    monkeypatch.setattr(apt_sources, "REMEMBERED", remembered)
    (folder / "sources.list.d").mkdir(parents=True)
    remembered.parent.mkdir()
    first = apt_sources.read_apt()
    assert apt_sources.read_apt() == first
    assert len(asked) == 1
    assert remembered.stat().st_mode & 0o777 == 0o600
    (folder / "sources.list.d/a.list").write_text("deb http://a.example/ x\n")
    apt_sources.read_apt()
    (folder / "sources.list.d/a.list").write_text("deb http://ab.example/ x\n")
    apt_sources.read_apt()
    assert len(asked) == 3
    remembered.write_text("{")
    assert apt_sources.read_apt() == first
    assert list(remembered.parent.iterdir()) == [remembered]


def test_a_link_in_the_place_of_what_is_remembered_is_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "apt.json"
    target.write_text("precious")
    path.symlink_to(target)
    apt_sources.remember(path, {"key": "x"})
    assert target.read_text() == "precious"
    assert not path.is_symlink()


def test_a_host_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert apt_sources.ask_apt() == Apt()


def test_apt_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 20)

    monkeypatch.setattr("subprocess.run", hang)
    assert "did not list its sources within" in apt_sources.ask_apt().problem


def test_nothing_of_the_environment_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.environ["PATH"]
    seen: dict[str, str] = {}

    def run(_: Any, *, env: dict[str, str], **__: Any) -> Any:
        seen.update(env)
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setenv("APT_CONFIG", "/etc/site.conf")
    monkeypatch.setattr("subprocess.run", run)
    apt_sources.ask_apt()
    assert (seen["APT_CONFIG"], seen["LC_ALL"]) == ("/etc/site.conf", "C")
