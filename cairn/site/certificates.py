"""The site's authority: create it, sign host certificates, and check existing ones.

Control node only: it needs `cryptography`, and the authority's key never leaves this machine.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Collection
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import CairnError

CA_YEARS = 10
TIME = "%Y-%m-%dT%H:%M:%SZ"  # of records: UTC, ISO 8601
COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def general_names(subjects: list[str]) -> list[x509.GeneralName]:
    """Subject alternative names for host names and IP addresses, each once, in a fixed order."""
    names: list[x509.GeneralName] = []
    for subject in sorted(set(subjects)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(subject)))
        except ValueError:
            names.append(x509.DNSName(subject))
    return names


def certificate_subjects(certificate: x509.Certificate) -> set[str]:
    """The names and addresses of a certificate."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in extension.value}


def public_bytes(key: object) -> bytes:
    """A public key in a form that can be compared."""
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def why_renew(
    certificate_pem: str,
    request_pem: str,
    subjects: list[str],
    authority_pem: str,
    *,
    renew_days: int,
    now: datetime.datetime | None = None,
) -> str | None:
    """Why a host's certificate must be replaced; None if it is suitable.

    `request_pem` is the host's signing request; only its key is used, not its names.
    """
    if not certificate_pem.strip():
        return "it has none"
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError:
        return "it is not a certificate"
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return "it is of another authority"
    request = x509.load_pem_x509_csr(request_pem.encode())
    if public_bytes(certificate.public_key()) != public_bytes(request.public_key()):
        return "it is for another key"
    have, want = certificate_subjects(certificate), set(subjects)
    if have != want:
        parts = [f"without {', '.join(sorted(want - have))}"] if want - have else []
        parts += [f"still for {', '.join(sorted(have - want))}"] if have - want else []
        return f"it is {' and '.join(parts)}"
    left = certificate.not_valid_after_utc - (now or datetime.datetime.now(datetime.UTC))
    if left < datetime.timedelta(days=renew_days):
        return f"it has {left.days} days left"
    return None


def due(certificate_pem: str, renew_days: int) -> str:
    """When a certificate must be renewed: `renew_days` before its end, UTC in ISO 8601."""
    end = x509.load_pem_x509_certificate(certificate_pem.encode()).not_valid_after_utc
    return (end - datetime.timedelta(days=renew_days)).strftime(TIME)


def sign(
    request_pem: str,
    subjects: list[str],
    authority_pem: str,
    authority_key_pem: str,
    *,
    days: int,
    now: datetime.datetime | None = None,
) -> str:
    """A certificate (PEM) for a host's key with these names, valid for `days` days.

    The first subject is the common name. Names come from the inventory and never from the request,
    so that a host cannot request another's. CairnError if the request is not signed with its key,
    or the authority's certificate and key do not match. The certificate is followed by those
    between the authority and its root, if the authority is not the root.
    """
    request = x509.load_pem_x509_csr(request_pem.encode())
    if not request.is_signature_valid:
        raise CairnError("the signing request was not made with the key it holds")
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    key = serialization.load_pem_private_key(authority_key_pem.encode(), password=None)
    if public_bytes(key.public_key()) != public_bytes(authority.public_key()):
        raise CairnError("cairn_secrets: ca_key is not the key of ca_certificate")
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CairnError("cairn_secrets: ca_key is neither an EC nor an RSA key")
    now = now or datetime.datetime.now(datetime.UTC)
    # Clocks of new hosts may be behind; a certificate must not outlive its authority.
    not_before = max(now - datetime.timedelta(hours=1), authority.not_valid_before_utc)
    end = min(now + datetime.timedelta(days=days), authority.not_valid_after_utc)
    usage = ["digital_signature"]
    if isinstance(request.public_key(), rsa.RSAPublicKey):
        usage.append("key_encipherment")
    # Hosts are clients of each other too: OVSDB, libvirt, Galera.
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(
        authority.public_key()  # type: ignore[arg-type]
    )
    certificate = (
        draft(named(subjects[0]), request.public_key(), not_before, end, usage)
        .issuer_name(authority.subject)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(general_names(subjects)), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = [certificate, *intermediates(authority_pem)]
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain)


def intermediates(authority_pem: str) -> list[x509.Certificate]:
    """The intermediate authorities, which clients that know only the root need."""
    found = x509.load_pem_x509_certificates(authority_pem.encode())
    return [one for one in found if one.issuer != one.subject]


def certificate_authority(common_name: str = "Cairn CA") -> tuple[str, str]:
    """Return a new certificate authority as (certificate, private key), both PEM.

    EC P-256, valid for CA_YEARS years, with path length 0: it cannot sign further authorities.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    # Valid from yesterday, for hosts whose clocks are behind.
    not_before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    end = not_before + datetime.timedelta(days=365 * CA_YEARS)
    name = named(common_name)
    usage = ["key_cert_sign", "crl_sign"]
    certificate = (
        draft(name, key.public_key(), not_before, end, usage, authority=True)
        .issuer_name(name)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def named(common_name: str) -> x509.Name:
    """A subject with a common name only, cut to its limit."""
    value = common_name[:COMMON_NAME_LIMIT]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def draft(
    subject: x509.Name,
    key: Any,
    not_before: datetime.datetime,
    end: datetime.datetime,
    usage: Collection[str],
    *,
    authority: bool = False,
) -> x509.CertificateBuilder:
    """The common parts of the site's certificates, for a public key, without issuer."""
    depth = 0 if authority else None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=depth), critical=True)
        .add_extension(x509.KeyUsage(**{u: u in usage for u in KEY_USAGES}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
