"""The test guest boots in an emulator and does what verify.yml asks of it."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cairn.site import certificates
from guest.__main__ import build

pytestmark = pytest.mark.lab

BOOT_SECONDS = 60
METADATA = {"uuid": "6f1c", "hostname": "cairn-verify-1", "name": "cairn-verify-1"}
# What the guest's network calls this machine.
MACHINE = "169.254.0.2"
USER_DATA = """\
#!/bin/sh
echo nonce-42
cat >/run/ca.pem <<END
{authority}END
export SSL_CERT_FILE=/run/ca.pem
send PUT {url} word-1
send POST {url} word-2 'X-Auth-Token: seven'
SSL_CERT_FILE=/dev/null send PUT {url} word-3
"""
# QEMU starts this for each connection that the guest makes to the metadata address.
SERVICE = """\
import pathlib, sys
path = sys.stdin.readline().split()[1]
while sys.stdin.readline().strip():
    pass
file = pathlib.Path(sys.argv[1], pathlib.Path(path).name)
body = file.read_text() if file.exists() else ""
status = "200 OK" if body else "404 Not Found"
sys.stdout.write(f"HTTP/1.0 {status}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}")
"""


@dataclass
class Guest:
    """A running guest: the local port of its port 80, its console log, its second disk."""

    port: int
    console: Path
    disk: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def wait(self, word: str) -> str:
        """The console line of the marker `word`."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            text = self.console.read_text(errors="replace")
            if found := re.search(rf"cairn-guest: [\d.]+ ({word}.*)", text):
                return found[1].strip()
            time.sleep(0.2)
        pytest.fail(f"no {word!r} within {BOOT_SECONDS} s; the console:\n{text}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the request's method, its body and its token."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers["X-Auth-Token"]
        answer = f"{self.command} {self.path} {body.decode()} {token}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT  # noqa: N815 - the library's name for it

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def echo(authority: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, as the guest sees it, of a server with TLS 1.3 and a certificate for its address."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(certificates.named("machine"))
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    own = tmp_path_factory.mktemp("tls") / "own.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    own.write_text(secret + certificates.sign(pem, [MACHINE], *authority, days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(own)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://{MACHINE}:{server.server_port}/a%3Ab?c=d"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def guest(
    echo: str, authority: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    folder = tmp_path_factory.mktemp("guest")
    root, second = folder / "root.raw", folder / "second.raw"
    shutil.copy(build(), root)
    with second.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    service = folder / "metadata.sh"
    answer = folder / "metadata.py"
    answer.write_text(SERVICE)
    (folder / "meta_data.json").write_text(json.dumps(METADATA))
    (folder / "user_data").write_text(USER_DATA.format(authority=authority[0], url=echo))
    service.write_text(f"#!/bin/sh\nexec {sys.executable} {answer} {folder}\n")
    service.chmod(0o755)
    port, console = free_port(), folder / "console.log"
    console.touch()
    network = (
        f"user,id=n,net=169.254.0.0/16,host={MACHINE},dhcpstart=169.254.0.15,"
        f"hostfwd=tcp:127.0.0.1:{port}-169.254.0.15:80,"
        f"guestfwd=tcp:169.254.169.254:80-cmd:{service}"
    )
    process = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-no-reboot",
         "-serial", f"file:{console}",
         "-drive", f"file={root},if=virtio,format=raw",
         "-drive", f"file={second},if=virtio,format=raw",
         "-netdev", network, "-device", "virtio-net-pci,netdev=n",
         "-netdev", "user,id=m,net=10.1.0.0/16,dhcpstart=10.1.0.15",
         "-device", "virtio-net-pci,netdev=m"],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        started = Guest(port, console, second)
        started.wait("ready")
        yield started
    finally:
        process.kill()
        process.wait()


def test_it_gets_an_address_by_dhcp(guest: Guest) -> None:
    assert guest.wait("address") == "address 169.254.0.15/16"


def test_it_has_an_address_on_a_further_interface_and_stays_reachable(guest: Guest) -> None:
    answer = json.loads(guest.get("/cgi-bin/interface?name=eth1"))
    assert answer == {"address": "10.1.0.15/16", "metadata": METADATA}
    assert json.loads(guest.get("/cgi-bin/status"))["address"] == "169.254.0.15/16"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        guest.get("/cgi-bin/interface?name=eth7")


def test_it_looks_a_name_up_and_says_nothing_where_there_is_none(guest: Guest) -> None:
    assert guest.get("/cgi-bin/lookup?name=nowhere.invalid&server=10.1.0.3").strip() == ""


def test_it_serves_the_metadata_that_it_was_given(guest: Guest) -> None:
    assert json.loads(guest.get("/meta_data.json")) == METADATA
    assert json.loads(guest.get("/cgi-bin/status"))["hostname"] == METADATA["hostname"]


def test_it_runs_its_user_data(guest: Guest) -> None:
    assert guest.get("/user_data.txt").splitlines()[0] == "nonce-42"


def test_it_trusts_certificates_of_the_authority_that_it_is_given_and_no_others(
    guest: Guest,
) -> None:
    answers = guest.get("/user_data.txt").splitlines()[1:]
    assert answers == ["PUT /a%3Ab?c=d word-1 None", "POST /a%3Ab?c=d word-2 seven"]


def test_it_reports_an_attached_disk(guest: Guest) -> None:
    assert json.loads(guest.get("/cgi-bin/disks")) == [{"name": "vdb", "bytes": 8 * 1024 * 1024}]
    assert guest.wait("disk") == "disk vdb 8388608"


def test_a_word_written_is_on_the_disk(guest: Guest) -> None:
    assert guest.get("/cgi-bin/disk?name=vdb&word=cairn-7") == "cairn-7\n"
    assert guest.disk.read_bytes()[:512] == b"cairn-7".ljust(512, b"\0")
    assert guest.get("/cgi-bin/disk?name=vdb") == "cairn-7\n"


@pytest.mark.parametrize("query", ["name=vda", "name=vdb/../vda", "name=vdc&word=x", ""])
def test_only_attached_disks_can_be_touched(guest: Guest, query: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        guest.get(f"/cgi-bin/disk?{query}")


def test_a_word_is_a_word(guest: Guest) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        guest.get("/cgi-bin/disk?name=vdb&word=a;reboot")
