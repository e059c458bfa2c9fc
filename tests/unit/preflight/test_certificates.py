"""What would stop HAProxy or be noticed by users only is a finding before anything is touched."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cairn.preflight.certificates import (
    check_authority,
    check_host_certificate,
    check_one_vip,
    check_public,
)
from cairn.preflight.finding import ERROR, WARNING, Finding
from cairn.site import certificates

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NAME = "cloud.example.org"


@dataclass
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self, password: bytes | None = None) -> str:
        how: Any = serialization.NoEncryption()
        if password:
            how = serialization.BestAvailableEncryption(password)
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, how).decode()


def make(
    name: str,
    issuer: Made | None = None,
    subjects: Sequence[str] = (),
    begin: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 300 * DAY,
    bits: int = 0,
    purposes: Sequence[x509.ObjectIdentifier] = (),
) -> Made:
    """A certificate for names, or an authority where there are none; `bits` are those of RSA."""
    key: Any = ec.generate_private_key(ec.SECP256R1())
    if bits:
        key = rsa.generate_private_key(65537, bits)
    signer = issuer.key if issuer else key
    above = issuer.certificate.subject if issuer else certificates.named(name)
    usage = ["digital_signature"] if subjects else ["key_cert_sign", "crl_sign"]
    builder = certificates.draft(
        certificates.named(name), key.public_key(), begin, end, usage, authority=not subjects
    ).issuer_name(above)
    if subjects:
        names = x509.SubjectAlternativeName(certificates.general_names(list(subjects)))
        builder = builder.add_extension(names, critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Made(builder.sign(signer, hashes.SHA256()), key)


@pytest.fixture(scope="module")
def top() -> Made:
    return make("Root")


@pytest.fixture(scope="module")
def issuing(top: Made) -> Made:
    return make("Issuing", top)


def texts(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.severity, one.text) for one in found]


def public(made: Made, *above: Made, names: Sequence[str] = (NAME,), key: str = "") -> Any:
    chain = "".join(one.pem for one in (made, *above))
    return texts(check_public(chain, key or made.key_pem(), names, NOW))


@pytest.mark.parametrize(
    ("subjects", "name"),
    [
        ([NAME], NAME),
        (["*.example.org"], NAME),
        (["Cloud.Example.org"], NAME),
        (["203.0.113.5"], "203.0.113.5"),
    ],
)
def test_a_good_certificate_is_let_pass(issuing: Made, subjects: list[str], name: str) -> None:
    assert public(make("c", issuing, subjects), issuing, names=[name]) == []
    assert check_public("", "", [NAME], NOW) == []


@pytest.mark.parametrize(
    ("subjects", "name"),
    [
        (["www.example.org"], NAME),
        (["*.example.org"], "a.cloud.example.org"),
        (["*.example.org"], "example.org"),
        ([NAME], "203.0.113.5"),
    ],
)
def test_a_certificate_of_another_name(issuing: Made, subjects: list[str], name: str) -> None:
    found = public(make("c", issuing, subjects), issuing, names=[name])
    assert found == [(ERROR, f"pki_public_certificate is not for {name}, but for {subjects[0]}")]


def test_a_certificate_without_its_key(issuing: Made, top: Made) -> None:
    made = make("c", issuing, [NAME])
    (one,) = check_public(made.pem, "", [NAME], NOW)
    assert one.text == "pki_public_certificate is set and pki_public_key is not"
    (one,) = check_public("", made.key_pem(), [NAME], NOW)
    assert one.text == "pki_public_key is set and pki_public_certificate is not"
    said = "pki_public_key is not the key of pki_public_certificate"
    assert public(made, issuing, key=top.key_pem()) == [(ERROR, said)]
    assert public(made, issuing, key=made.key_pem(b"word"))[0][1] == "pki_public_key is encrypted"
    assert public(made, issuing, key="nonsense")[0][1].endswith("contains no PEM private key")
    assert (
        "contains no PEM certificate"
        in check_public("nonsense", made.key_pem(), [NAME], NOW)[0].text
    )


def test_a_chain_out_of_order(issuing: Made, top: Made) -> None:
    made = make("c", issuing, [NAME])
    assert public(made, issuing, top) == []
    ((severity, text),) = public(made, top)
    assert severity == ERROR
    assert text.startswith("certificate 1 in pki_public_certificate was not signed by")


@pytest.mark.parametrize(
    ("begin", "end", "finding"),
    [
        (-10, 61, None),
        (-10, 59, (WARNING, "pki_public_certificate ends on 2027-01-28, in 59 days")),
        (-10, 0, (ERROR, "pki_public_certificate ended on 2026-11-30")),
        (-500, -100, (ERROR, "pki_public_certificate ended on 2026-08-22")),
        (1, 300, (ERROR, "pki_public_certificate is valid only from 2026-12-01 on")),
    ],
)
def test_time(issuing: Made, begin: int, end: int, finding: tuple[str, str] | None) -> None:
    made = make("c", issuing, [NAME], NOW + begin * DAY, NOW + end * DAY)
    assert public(made, issuing) == ([finding] if finding else [])


def test_an_intermediate_that_ends_is_named(top: Made) -> None:
    soon = make("Issuing", top, end=NOW + 5 * DAY)
    made = make("c", soon, [NAME])
    said = "pki_public_certificate (its CN=Issuing) ends on 2026-12-05, in 5 days"
    assert public(made, soon) == [(WARNING, said)]


def test_keys_that_openssl_refuses(top: Made) -> None:
    made = make("c", top, [NAME], bits=1024)
    ((severity, text),) = public(made, top)
    assert severity == ERROR
    assert text.startswith("pki_public_certificate (CN=c) has an RSA key of fewer than 2048 bits")
    assert public(make("c", top, [NAME], bits=2048), top) == []
    weak = make("Old", bits=1024)
    texts_of = [one.text for one in check_authority(weak.pem, weak.key_pem(), NOW)]
    assert [t.partition(" bits")[0] for t in texts_of] == [
        "cairn_secrets.ca_certificate (CN=Old) has an RSA key of fewer than 2048"
    ]


def test_a_certificate_of_a_client(top: Made) -> None:
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    ((severity, text),) = public(make("c", top, [NAME], purposes=[client]), top)
    assert (severity, "not for servers" in text) == (ERROR, True)
    assert public(make("c", top, [NAME], purposes=[client, server]), top) == []


def test_one_vip_for_both_sides_needs_two_names() -> None:
    vips = {"internal": "192.0.2.1", "public": "192.0.2.1"}
    same = {"internal": NAME, "public": NAME}
    (one,) = check_one_vip("x", same, vips)
    assert (one.severity, "cairn_internal_name" in one.remedy) == (ERROR, True)
    assert check_one_vip("", same, vips) == []
    assert check_one_vip("x", {**same, "internal": "192.0.2.1"}, vips) == []
    assert check_one_vip("x", same, {**vips, "public": "192.0.2.9"}) == []


def authority(made: Made, *above: Made, key: str = "") -> Any:
    chain = "".join(one.pem for one in (made, *above))
    return texts(check_authority(chain, key or made.key_pem(), NOW))


def test_an_authority_leads_up_to_its_root(top: Made, issuing: Made) -> None:
    assert authority(top) == []
    assert authority(issuing, top) == []
    ((severity, text),) = authority(issuing)
    assert (severity, "lacks its issuer CN=Root" in text) == (ERROR, True)
    assert len(authority(issuing, make("Root"))) == 1, "another of the same name"


def test_an_authority_that_cannot_sign(top: Made) -> None:
    leaf = make("c", top, [NAME])
    assert authority(leaf, top) == [
        (ERROR, "cairn_secrets.ca_certificate is no certificate of an authority")
    ]
    said = "cairn_secrets.ca_key is not the key of cairn_secrets.ca_certificate"
    assert authority(top, key=leaf.key_pem()) == [(ERROR, said)]
    ending = make("Root", end=NOW + 59 * DAY)
    assert authority(ending)[0][0] == WARNING


def test_clients_of_an_issuing_authority_get_what_leads_to_the_root(
    top: Made, issuing: Made
) -> None:
    both = issuing.pem + top.pem
    assert certificates.intermediates(both) == [issuing.certificate]
    assert certificates.intermediates(top.pem) == []


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("2027-02-01T00:00:00Z", None),
        ("2027-01-10T00:00:00Z", "has a certificate that ends on 2027-01-10, in 41 days"),
        ("2026-11-29T00:00:00Z", "has a certificate that ended on 2026-11-29"),
    ],
)
def test_a_hosts_certificate_that_nobody_renews(end: str, text: str | None) -> None:
    found = check_host_certificate("compute1", end, NOW)
    assert [(one.severity, one.host, one.text) for one in found] == (
        [(WARNING, "compute1", text)] if text else []
    )


# --- what the load balancer shows ------------------------------------------------------------


def binds(content: Callable[..., str], **variables: Any) -> dict[str, str]:
    """The certificates of keystone's two listeners by address."""
    text = content("loadbalancer", "/etc/haproxy/haproxy.cfg", controllers=1, **variables)
    section = re.search(r"^listen keystone-api .*?(?=^\S)", text, re.M | re.S)
    assert section
    return dict(re.findall(r"bind (\S+):5000 ssl (.*) alpn", section[0]))


def test_each_side_has_its_certificate(content: Callable[..., str]) -> None:
    assert binds(content) == {
        "192.0.2.250": "crt @cairn/host",
        "203.0.113.250": "crt @cairn/host",
    }
    own = {"pki_public_certificate": "c", "pki_public_key": "k"}
    assert binds(content, **own) == {
        "192.0.2.250": "crt @cairn/host",
        "203.0.113.250": "crt /etc/haproxy/public.pem",
    }


def test_on_one_vip_the_name_decides_and_who_asks_for_none_is_inside(
    content: Callable[..., str], make_model: Callable[..., Any]
) -> None:
    made = dict(make_model("controller1").site)
    made["vips"] = dict.fromkeys(("internal", "public"), "192.0.2.250")
    own = {"pki_public_certificate": "c", "pki_public_key": "k"}
    assert binds(content, cairn_site=made, **own) == {
        "192.0.2.250": "crt @cairn/host crt /etc/haproxy/public.pem"
    }


# --- renewal ---------------------------------------------------------------------------------


def test_the_timer_plays_what_there_is() -> None:
    unit = (ROOT / "roles/operator/templates/renew.service.j2").read_text()
    playbook = re.search(r"playbooks/\S+", unit)
    assert playbook
    plays = yaml.safe_load((ROOT / playbook[0]).read_text())
    assert plays[-1]["ansible.builtin.import_playbook"] == "internal/release-lease.yml"
    # Nothing but the certificate: what else has changed since is for a run that somebody looks at.
    included = [
        task["ansible.builtin.include_role"]
        for play in plays
        for task in play.get("tasks", [])
        if "ansible.builtin.include_role" in task
    ]
    assert included
    assert all(one == {"name": "pki", "tasks_from": "certificate"} for one in included)


def test_a_host_complains_of_a_certificate_that_nobody_renews(
    make_model: Callable[..., Any],
) -> None:
    manifest = make_model("compute1").manifest("pki")
    units = {unit["unit"]: unit["text"] for unit in manifest["units"]}
    seconds = re.search(r"-checkend (\d+)", units["cairn-certificate.service"])
    assert seconds
    assert int(seconds[1]) == 15 * 86400
    assert "OnCalendar=daily" in units["cairn-certificate.timer"]
