"""Inventories of all kinds, each in a whole run of a playbook: it works, or says what is wrong.

Hosts are simulated as in bench. What single functions find is tested elsewhere; here it is whether
an operator gets to see it.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent
Run = Callable[..., str]


@pytest.fixture
def site(small_site: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A small site with its secrets."""
    made = small_site(tmp_path / "site")
    (made / "group_vars/all/own.yml").write_text("cairn_services: [cinder]\n")
    return made


@pytest.fixture
def play(simulated: Callable[..., Any]) -> Run:
    """Run a playbook over a site; what it shows, in one line."""

    def run(site: Path, playbook: str = "preflight.yml", *words: str, expect: int = 0) -> str:
        done = simulated(site, playbook, *words)
        assert done.returncode == expect, done.stdout[-5000:] + done.stderr[-2000:]
        return re.sub(r"\s+", " ", done.stdout + done.stderr)

    return run


def edit_secrets(site: Path, lines: str) -> None:
    """As with `make edit-secrets`: these lines take the place of those with the same names."""
    file = site / "group_vars/all/secrets.yml"

    def vault(what: str) -> None:
        command = [TOOLS / "ansible-vault", what, file]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)

    vault("decrypt")
    text = file.read_text()
    for line in lines.splitlines():
        name = line.partition(": ")[0]
        entry = re.compile(rf"^  {name}: .*\n(?:    .*\n)*", re.M)
        text, count = entry.subn(lambda _, m=line: f"  {m}\n", text)
        assert count == 1, f"{name} is not among the secrets"
    file.write_text(text)
    vault("encrypt")


def public_certificate(name: str) -> tuple[str, str]:
    """A certificate for a name, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def test_secrets_that_are_no_text_are_findings_of_one_run(site: Path, play: Run) -> None:
    edit_secrets(
        site,
        'service_nova: "{{ not_there }}"\nservice_glance: "a{% b"\nservice_cinder: 0042\n'
        'ca_key: "{{ nor_this }}"',
    )
    said = play(site, expect=2)
    for name in ("service_nova", "service_glance", "service_cinder", "ca_key"):
        assert f"cairn_secrets.{name}: " in said, said
    assert "nothing was touched" in said


def test_a_value_that_cannot_be_read_hides_nothing_else(site: Path, play: Run) -> None:
    mine = site / "group_vars/all/zz.yml"
    mine.write_text(
        "pki_public_key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n"
        "pki_public_certificate: x\nnova_confg: {}\n"
    )
    said = play(site, expect=2)
    assert "did you mean nova_config?" in said, said
    assert "undecryptable variable" in said and f"({mine}:1)" in said, said

    mine.write_text(
        'cairn_minimum_memory_mb: "{{ not_there }}"\ncairn_host_planes: "{{ nor_this }}"\n'
        'cairn_region: "{{ 1 + }}"\n'
    )
    said = play(site, expect=2)
    for name, why in (
        ("cairn_minimum_memory_mb", "'not_there' is undefined"),
        ("cairn_region", "Syntax error in template"),
    ):
        assert re.search(rf"{name} cannot be read: [^(]*{why}[^(]*\({mine}\)", said), said
    assert said.count("'not_there' is undefined (") == said.count("the inventory is wrong"), said
    assert "compute1: cairn_host_planes cannot be read: 'nor_this' is undefined" in said, said
    assert "is missing" not in said, said


def test_certificates_may_lie_beside_the_hosts(site: Path, play: Run) -> None:
    """As docs/manage-certificates.md has them, the key encrypted as a whole file."""
    page = (ROOT / "docs/manage-certificates.md").read_text()
    (block,) = [b for b in re.findall(r"```yaml\n(.*?)```", page, re.S) if "lookup('file'" in b]
    (site / "group_vars/all/certificate.yml").write_text(block)
    certificate, key = public_certificate("cloud.example.org")
    (site / "cloud.pem").write_text(certificate)
    (site / "cloud.key").write_text(key)
    command = [TOOLS / "ansible-vault", "encrypt", site / "cloud.key"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert " ERROR " not in play(site)
    (site / "cloud.key").write_text(public_certificate("cloud.example.org")[1])
    assert "pki_public_key is not the key of pki_public_certificate" in play(site, expect=2)
