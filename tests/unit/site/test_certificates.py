"""Certificates: signed for the inventory's names, and judged by what they are good for."""

from __future__ import annotations

import datetime
import functools
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from cairn.errors import CairnError
from cairn.site import certificates

SUBJECTS = ["controller1", "192.0.2.11", "cloud.example.org", "2001:db8::11"]


@functools.cache
def now() -> datetime.datetime:
    """The time of the first test: the authority of the tests is made today."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def request_pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A signing request made as hosts make it."""
    return signing_request(tmp_path_factory.mktemp("host"))


def signing_request(folder: Path, name: str = "controller1") -> str:
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", folder / "key", "-out", folder / "csr", "-subj", f"/CN={name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "csr").read_text()


def sign(request_pem: str, authority: tuple[str, str], days: int = 397) -> str:
    return certificates.sign(request_pem, SUBJECTS, *authority, days=days, now=now())


def why(pem: str, request_pem: str, authority: tuple[str, str], **other: object) -> str | None:
    given: dict[str, object] = {"subjects": SUBJECTS, "now": now(), "renew_days": 30, **other}
    return certificates.why_renew(pem, request_pem, authority_pem=authority[0], **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SUBJECTS)
def test_an_independent_verifier_accepts_every_subject(
    request_pem: str, authority: tuple[str, str], name: str
) -> None:
    certificate = x509.load_pem_x509_certificate(sign(request_pem, authority).encode())
    wanted = certificates.general_names([name])[0]
    store = Store([x509.load_pem_x509_certificate(authority[0].encode())])
    verifier = PolicyBuilder().store(store).time(now()).build_server_verifier(wanted)  # type: ignore[arg-type]
    assert verifier.verify(certificate, [])


def test_a_good_certificate_stays(request_pem: str, authority: tuple[str, str]) -> None:
    assert why(sign(request_pem, authority), request_pem, authority) is None


@pytest.mark.parametrize(
    ("subjects", "reason"),
    [
        ([*SUBJECTS, "192.0.2.99"], "without 192.0.2.99"),
        (SUBJECTS[:-2], "still for 2001:db8::11, cloud.example.org"),
    ],
)
def test_other_names_ask_for_a_new_one(
    request_pem: str, authority: tuple[str, str], subjects: list[str], reason: str
) -> None:
    pem = sign(request_pem, authority)
    assert why(pem, request_pem, authority, subjects=subjects) == f"it is {reason}"


def test_the_order_of_names_does_not_matter(request_pem: str, authority: tuple[str, str]) -> None:
    pem = sign(request_pem, authority)
    assert why(pem, request_pem, authority, subjects=SUBJECTS[::-1]) is None


def test_it_is_renewed_in_time_and_not_before(request_pem: str, authority: tuple[str, str]) -> None:
    pem = sign(request_pem, authority, days=90)
    wanted = (now() + datetime.timedelta(days=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert certificates.due(pem, 30) == wanted
    early, late = (now() + datetime.timedelta(days=60, hours=h) for h in (-1, 1))
    assert why(pem, request_pem, authority, now=early) is None
    assert why(pem, request_pem, authority, now=late) == "it has 29 days left"


def test_another_key_or_authority_asks_for_a_new_one(
    request_pem: str, authority: tuple[str, str], tmp_path: Path
) -> None:
    pem = sign(request_pem, authority)
    assert why(pem, signing_request(tmp_path), authority) == "it is for another key"
    other = certificates.certificate_authority()
    assert why(pem, request_pem, other) == "it is of another authority"


@pytest.mark.parametrize(("pem", "reason"), [("", "has none"), ("junk", "not a certificate")])
def test_no_certificate_asks_for_one(
    request_pem: str, authority: tuple[str, str], pem: str, reason: str
) -> None:
    assert reason in str(why(pem, request_pem, authority))


def test_names_in_the_request_count_for_nothing(authority: tuple[str, str], tmp_path: Path) -> None:
    pem = sign(signing_request(tmp_path, name="controller2"), authority)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=controller1"
    assert certificates.certificate_subjects(certificate) == set(SUBJECTS)


def test_a_certificate_cannot_sign_others(request_pem: str, authority: tuple[str, str]) -> None:
    certificate = x509.load_pem_x509_certificate(sign(request_pem, authority).encode())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and not constraints.value.ca


def test_nothing_outlives_its_authority(request_pem: str, authority: tuple[str, str]) -> None:
    certificate = x509.load_pem_x509_certificate(sign(request_pem, authority, 9999).encode())
    signer = x509.load_pem_x509_certificate(authority[0].encode())
    assert certificate.not_valid_after_utc == signer.not_valid_after_utc


def test_a_forged_request_is_refused(request_pem: str, authority: tuple[str, str]) -> None:
    lines = request_pem.strip().splitlines()
    lines[-2] = ("B" if lines[-2][0] == "A" else "A") * 4 + lines[-2][4:]
    with pytest.raises((CairnError, ValueError)):
        sign("\n".join(lines), authority)


def test_half_an_authority_is_named(request_pem: str, authority: tuple[str, str]) -> None:
    other = certificates.certificate_authority()
    with pytest.raises(CairnError, match="ca_key is not the key of ca_certificate"):
        sign(request_pem, (authority[0], other[1]))
