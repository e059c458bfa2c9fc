"""The instance's own words are compared with ours; the console is opened as a browser does."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from cairn.verify import connectivity
from cairn.verify.run import ProofError, Run

KEY = "ssh-ed25519 AAAA"


@pytest.fixture
def run() -> Run:
    return Run("cairn-verify-1", "pw", "42", "req-1", KEY, {"server": "id1", "project": "p1"})


def metadata(**changed: Any) -> dict[str, Any]:
    return {
        "uuid": "id1",
        "name": "cairn-verify-1",
        "hostname": "cairn-verify-1.novalocal",
        "project_id": "p1",
        "public_keys": {"cairn-verify-1": f"{KEY}\n"},
    } | changed


def test_metadata_of_this_instance_is_accepted(run: Run) -> None:
    assert "id1" in connectivity.compare_metadata(metadata(), run)


@pytest.mark.parametrize(
    "wrong",
    [{"uuid": "other"}, {"hostname": "host"}, {"public_keys": None}, {"project_id": "p2"}],
)
def test_metadata_of_anything_else_is_refused(run: Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(ProofError, match=next(iter(wrong))):
        connectivity.compare_metadata(metadata(**wrong), run)


Reported = Callable[[str], bytes]


@pytest.fixture
def serve() -> Iterator[Callable[[Reported], tuple[str, list[str]]]]:
    """Start a server for one connection; gives its URL's root and the requests that it saw."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def start(answer: Reported) -> tuple[str, list[str]]:
            seen: list[str] = []

            def work() -> None:
                peer, _ = listener.accept()
                with peer:
                    request = ""
                    while "\r\n\r\n" not in request:
                        request += peer.recv(4096).decode()
                    seen.append(request)
                    peer.sendall(answer(request))

            threads.append(threading.Thread(target=work))
            threads[-1].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}", seen

        yield start
        for thread in threads:
            thread.join(timeout=5)


def upgrade(request: str, frame: bytes = b"\x82\x0cRFB 003.008\n") -> bytes:
    key = next(
        line.split(": ")[1]
        for line in request.split("\r\n")
        if line.startswith("Sec-WebSocket-Key")
    )
    accept = base64.b64encode(
        hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode(), usedforsecurity=False
        ).digest()
    ).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
    ).encode() + frame


QUERY = "/vnc_lite.html?path=%3Ftoken%3Dsecret-token"


def test_the_console_greets_as_a_vnc_server(serve: Any) -> None:
    root, seen = serve(upgrade)
    assert connectivity.remote_framebuffer(urlsplit(root + QUERY), None) == "RFB 003.008"
    assert seen[0].startswith("GET /?token=secret-token HTTP/1.1\r\n")
    assert f"Origin: {root}\r\n" in seen[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: b"HTTP/1.1 403 Forbidden\r\n\r\n", "refused: HTTP/1.1 403"),
        (lambda _: b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: x\r\n\r\n", "does not match"),
        (lambda r: upgrade(r, b"\x88\x02\x03\xe8"), "opcode 8"),
        (lambda r: upgrade(r, b"\x82\x05hello"), "no VNC server"),
        (lambda r: upgrade(r, b""), "closed"),
    ],
)
def test_anything_else_is_explained_without_the_token(
    serve: Any, answer: Reported, reason: str
) -> None:
    root, _ = serve(answer)
    with pytest.raises(ProofError, match=reason) as raised:
        connectivity.remote_framebuffer(urlsplit(root + QUERY), None)
    assert "secret-token" not in str(raised.value)


def test_a_page_of_the_instance_is_read(serve: Any) -> None:
    root, _ = serve(lambda _: b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert connectivity.console_page(urlsplit(root + "/vnc_lite.html"), None) == "hi"


def test_a_page_that_is_an_error_fails_the_step(serve: Any) -> None:
    root, _ = serve(lambda _: b"HTTP/1.0 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(ProofError, match="HTTP 502"):
        connectivity.console_page(urlsplit(root + QUERY), None)


def test_a_console_that_does_not_listen_fails_the_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProofError, match=f"the console at http://127.0.0.1:{port}: "):
        connectivity.remote_framebuffer(urlsplit(f"http://127.0.0.1:{port}{QUERY}"), None)
