"""Access to an instance from outside: ping, HTTP, its metadata, its console."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from .finding import Finding
from .run import ProofError, Run, explained, user_cloud, wait

SECONDS_PER_TRY = 5
# For an answer: nova's proxy forks for each console, and asks the database and its cell first.
CONSOLE_SECONDS = 120
HTTP_SECONDS = 60  # from the first ping to the page: the guest still fetches its metadata
GIB = 1024**3
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def disk_sizes(page: str) -> dict[str, int] | None:
    """The guest's disks without its first: name to GiB; None for a page that is not whole."""
    try:
        return {disk["name"]: disk["bytes"] // GIB for disk in json.loads(page)}
    except json.JSONDecodeError:
        return None


def pings(address: str) -> bool:
    """Whether an address answers one echo request within a second."""
    argv = ["ping", "-n", "-q", "-c", "1", "-W", "1", address]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def fetch(address: str, path: str, seconds: float = SECONDS_PER_TRY) -> str | None:
    """The guest's page at `path`; None if it does not answer with one."""
    connection = http.client.HTTPConnection(address, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == 200 else None


def compare_metadata(metadata: dict[str, Any], run: Run) -> str:
    """A sentence on the guest's metadata; ProofError if it is not that of the instance."""
    wanted = {
        "uuid": run.ids["server"],
        "name": run.name,
        "hostname": run.name,
        "project_id": run.ids["project"],
        "public_keys": {run.name: run.public_key},
    }
    for key, value in wanted.items():
        found = metadata.get(key)
        if key == "hostname":
            # Nova adds its DNS domain to the name, if it has one.
            found = str(found).partition(".")[0]
        elif key == "public_keys":
            found = {name: text.strip() for name, text in (found or {}).items()}
        if found != value:
            raise ProofError(
                f"the metadata that the instance got has {key} {found!r}, not {value!r}"
            )
    return f"its id, name, project and key: uuid {metadata['uuid']}"


def reach(admin: Any, run: Run, ca_file: str | None, seconds: float) -> list[Finding]:
    """Reach the instance over its floating IP and its console; ProofError if a check fails."""
    address = run.floating_ip
    wait(f"a ping of the floating IP {address}", seconds, lambda: pings(address))
    run.times["ping"] = time.time()
    after = run.times["ping"] - run.times["began"]
    findings = [Finding("ping over the floating IP", f"{address} answers after {after:.1f} s")]

    page = wait(
        f"http://{address}/cgi-bin/status", HTTP_SECONDS, lambda: fetch(address, "/cgi-bin/status")
    )
    status = json.loads(page)
    run.times["http"] = time.time()
    findings.append(
        Finding(
            "HTTP over the floating IP",
            f"hostname {status['hostname']}, {status['address']}, MTU {status['mtu']}, "
            f"up for {status['uptime']} s",
        )
    )
    metadata = fetch(address, "/meta_data.json")
    if metadata is None:
        raise ProofError("the instance got no metadata from 169.254.169.254")
    findings.append(
        Finding("metadata as the instance got it", compare_metadata(json.loads(metadata), run))
    )
    printed = (fetch(address, "/user_data.txt") or "").strip()
    if printed != run.nonce:
        raise ProofError(f"the instance did not run its user data: it has {printed!r}")
    findings.append(Finding("user data", f"the instance ran the script: {printed}"))
    findings.append(Finding("console", console(admin, run, ca_file)))
    return findings


def console(admin: Any, run: Run, ca_file: str | None) -> str:
    """Open the instance's console as a browser does; returns a sentence."""
    user = user_cloud(admin, run)
    with explained("asking nova for the console's URL"):
        made = user.compute.create_console(run.ids["server"], "novnc")
    url = urlsplit(made["url"])
    context = ssl.create_default_context(cafile=ca_file) if url.scheme == "https" else None
    shown = f"{url.scheme}://{url.netloc}{url.path}"
    page = console_page(url, context)
    if "noVNC" not in page:
        raise ProofError(f"{shown}: this is not noVNC's page: {page[:200]!r}")
    version = remote_framebuffer(url, context)
    return f"{shown} answers; its websocket speaks {version}"


def explained_socket(url: SplitResult, error: Exception) -> ProofError:
    """An error of the console's connection, without the token in its URL."""
    return ProofError(f"the console at {url.scheme}://{url.netloc}: {error}")


def console_page(url: SplitResult, context: ssl.SSLContext | None) -> str:
    """The HTML page of a console URL."""
    host, port = str(url.hostname), url.port or (443 if context else 80)
    connection = (
        http.client.HTTPSConnection(host, port, timeout=CONSOLE_SECONDS, context=context)
        if context
        else http.client.HTTPConnection(host, port, timeout=CONSOLE_SECONDS)
    )
    try:
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        page = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise explained_socket(url, error) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise explained_socket(url, ValueError(f"its page answers HTTP {answer.status}"))
    return page


def websocket_path(url: SplitResult) -> str:
    """The path of the websocket that noVNC's page opens for a console URL: its `path` parameter."""
    path = parse_qs(url.query).get("path", ["websockify"])[0]
    return "/" + unquote(path).lstrip("/")


def remote_framebuffer(url: SplitResult, context: ssl.SSLContext | None) -> str:
    """Upgrade to a websocket (RFC 6455) and read the server's greeting, as "RFB 003.008"."""
    host, port = str(url.hostname), url.port or (443 if context else 80)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {websocket_path(url)} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Origin: {url.scheme}://{url.netloc}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: binary\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    try:
        with socket.create_connection((host, port), timeout=CONSOLE_SECONDS) as plain:
            stream = context.wrap_socket(plain, server_hostname=host) if context else plain
            with stream:
                stream.sendall(request.encode())
                return greeting(stream.makefile("rb"), key)
    except (OSError, ValueError) as error:
        raise explained_socket(url, error) from error


def greeting(stream: Any, key: str) -> str:
    """Read the upgrade's answer and the first frame; ValueError if it is not a VNC server's."""
    status = stream.readline().decode("latin-1").strip()
    if " 101 " not in f"{status} ":
        raise ValueError(f"the websocket is refused: {status}")
    headers = http.client.parse_headers(stream)
    digest = hashlib.sha1((key + WEBSOCKET_GUID).encode(), usedforsecurity=False).digest()
    if headers.get("Sec-WebSocket-Accept") != base64.b64encode(digest).decode():
        raise ValueError("the websocket's answer does not match the request")
    head = stream.read(2)
    if len(head) < 2:
        raise ValueError("the websocket was closed without data")
    first, length = head
    if first & 0x0F != 2:
        raise ValueError(f"the first websocket frame has opcode {first & 0x0F}, not binary")
    if length & 0x7F == 126:
        length = int.from_bytes(stream.read(2), "big")
    data: bytes = stream.read(length & 0x7F if length < 126 else length)
    if not data.startswith(b"RFB "):
        raise ValueError(f"no VNC server behind the websocket: it sent {data[:20]!r}")
    return data.decode("ascii", "replace").strip()
