"""The test guest boots in an emulator and does what verify.yml asks of it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guest.__main__ import build

pytestmark = pytest.mark.lab

BOOT_SECONDS = 60
METADATA = {"uuid": "6f1c", "hostname": "cairn-verify-1", "name": "cairn-verify-1"}
# QEMU starts this for each connection that the guest makes to the metadata address.
SERVICE = """\
import json, sys
path = sys.stdin.readline().split()[1]
while sys.stdin.readline().strip():
    pass
answers = {"/openstack/latest/meta_data.json": sys.argv[1],
           "/openstack/latest/user_data": "#!/bin/sh\\necho nonce-42\\n"}
body = answers.get(path, "")
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


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    folder = tmp_path_factory.mktemp("guest")
    root, second = folder / "root.raw", folder / "second.raw"
    shutil.copy(build(), root)
    with second.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    service = folder / "metadata.sh"
    answer = folder / "metadata.py"
    answer.write_text(SERVICE)
    service.write_text(f"#!/bin/sh\nexec {sys.executable} {answer} '{json.dumps(METADATA)}'\n")
    service.chmod(0o755)
    port, console = free_port(), folder / "console.log"
    console.touch()
    network = (
        "user,id=n,restrict=on,net=169.254.0.0/16,dhcpstart=169.254.0.15,"
        f"hostfwd=tcp:127.0.0.1:{port}-169.254.0.15:80,"
        f"guestfwd=tcp:169.254.169.254:80-cmd:{service}"
    )
    process = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-no-reboot",
         "-serial", f"file:{console}",
         "-drive", f"file={root},if=virtio,format=raw",
         "-drive", f"file={second},if=virtio,format=raw",
         "-netdev", network, "-device", "virtio-net-pci,netdev=n"],
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


def test_it_serves_the_metadata_that_it_was_given(guest: Guest) -> None:
    assert json.loads(guest.get("/meta_data.json")) == METADATA
    assert json.loads(guest.get("/cgi-bin/status"))["hostname"] == METADATA["hostname"]


def test_it_runs_its_user_data(guest: Guest) -> None:
    assert guest.get("/user_data.txt") == "nonce-42\n"


def test_it_tells_of_an_attached_disk(guest: Guest) -> None:
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
