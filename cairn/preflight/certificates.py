"""Checks of certificates: the site's own, its authority, and certificates that expire soon.

Pure functions on PEM texts. Without these checks HAProxy would fail during the run, or users would
notice the problem first. Control node only.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..site.certificates import TIME, certificate_subjects, public_bytes
from .finding import ERROR, WARNING, Finding

CHECK = "certificates"
SOON = datetime.timedelta(days=60)
RSA_BITS = 2048  # OpenSSL's security level in Debian 13 refuses fewer
PUBLIC, PUBLIC_KEY = "pki_public_certificate", "pki_public_key"
AUTHORITY, AUTHORITY_KEY = "cairn_secrets.ca_certificate", "cairn_secrets.ca_key"


def check_public(
    certificate: str, key: str, names: Sequence[str], now: datetime.datetime
) -> list[Finding]:
    """Check the site's own public certificate: its key, purpose, names, chain and validity.

    names: the names that clients use. Empty texts mean that the site has no own certificate.
    """
    if not certificate.strip() and not key.strip():
        return []
    if not certificate.strip() or not key.strip():
        given, lacking = (PUBLIC, PUBLIC_KEY) if certificate.strip() else (PUBLIC_KEY, PUBLIC)
        return [_error(f"{given} is set and {lacking} is not", f"set {lacking}, or neither")]
    chain = _certificates(certificate)
    if not chain:
        return [_error(f"{PUBLIC} contains no PEM certificate", "set it to the certificate's text")]
    found = _key_findings(PUBLIC_KEY, key, PUBLIC, chain[0])
    subjects = _listed(certificate_subjects(chain[0]))
    if not _is_for_servers(chain[0]):
        found.append(
            _error(
                f"{PUBLIC} is not for servers: its extendedKeyUsage lacks serverAuth",
                "get one for a web server",
            )
        )
    found += [
        _error(
            f"{PUBLIC} is not for {name}, but for {subjects}",
            "get one for that name, or correct cairn_public_name",
        )
        for name in names
        if not _is_for(chain[0], name)
    ]
    for number, (lower, upper) in enumerate(pairwise(chain), 1):
        if not _issued(lower, upper):
            found.append(
                _error(
                    f"certificate {number} in {PUBLIC} was not signed by the one that follows it",
                    "list the site's certificate first, and each certificate's issuer after it",
                )
            )
    return found + _weakness(PUBLIC, chain) + _time_findings(PUBLIC, chain, now, "replace it")


def check_authority(certificate: str, key: str, now: datetime.datetime) -> list[Finding]:
    """Check the site's authority: it may sign, its key fits, its chain is complete, it is valid."""
    chain = _certificates(certificate)
    if not chain:
        return [
            _error(f"{AUTHORITY} contains no PEM certificate", "set it to the authority's text")
        ]
    found = _key_findings(AUTHORITY_KEY, key, AUTHORITY, chain[0])
    try:
        may_sign = bool(chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        may_sign = False
    if not may_sign:
        found.append(
            _error(f"{AUTHORITY} is no certificate of an authority", "use one with CA:TRUE")
        )
    top = chain[0]
    for upper in chain[1:]:
        if not _issued(top, upper):
            break
        top = upper
    if not _issued(top, top):
        found.append(
            _error(
                f"{AUTHORITY} lacks its issuer {top.issuer.rfc4514_string()}",
                "append the issuers' certificates up to the root: OpenSSL needs the whole chain",
            )
        )
    found += _weakness(AUTHORITY, chain)
    return found + _time_findings(
        AUTHORITY, chain, now, "replace it; every host gets a new certificate at the next run"
    )


def check_one_vip(
    certificate: str, names: Mapping[str, str], vips: Mapping[str, str]
) -> list[Finding]:
    """With an own certificate and one VIP for both sides, the API names must differ.

    The load balancer chooses the certificate by the name that the client requests.
    """
    same = names["internal"] == names["public"] and vips["internal"] == vips["public"]
    if not certificate.strip() or not same:
        return []
    return [
        _error(
            f"{names['public']} is both the internal and the public name of one VIP, which has two "
            f"certificates: {PUBLIC} and that of the site's authority",
            "set cairn_internal_name to another name",
        )
    ]


def check_host_certificate(host: str, end: str, now: datetime.datetime) -> list[Finding]:
    """Check whether a host's certificate expires soon; end: UTC, ISO 8601, from its record."""
    moment = datetime.datetime.strptime(end, TIME).replace(tzinfo=datetime.UTC)
    if moment - now > SOON:
        return []
    remedy = "make renew; on a control node with systemd a timer does so"
    when = _ended(moment) if moment <= now else _ends(moment, now)
    return [Finding(WARNING, CHECK, f"has a certificate that {when}", remedy, host)]


def _error(text: str, remedy: str) -> Finding:
    return Finding(ERROR, CHECK, text, remedy)


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return []


def _key_findings(
    name: str, pem: str, of: str, certificate: x509.Certificate
) -> list[Finding]:  # fmt: skip
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        return [
            _error(f"{name} is encrypted", "decrypt it (openssl pkey); ansible-vault protects it")
        ]
    except (ValueError, UnsupportedAlgorithm):
        return [_error(f"{name} contains no PEM private key", "set it to the key's text")]
    if public_bytes(key.public_key()) != public_bytes(certificate.public_key()):
        return [_error(f"{name} is not the key of {of}", "use a matching certificate and key")]
    return []


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is valid for a host name or an address, compared as in RFC 6125."""
    names = {subject.lower() for subject in certificate_subjects(certificate)}
    try:
        return str(ipaddress.ip_address(name)) in names
    except ValueError:
        _, _, parent = name.lower().partition(".")
        return name.lower() in names or f"*.{parent}" in names


def _is_for_servers(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    allowed = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    return any(purpose in usage for purpose in allowed)


def _weakness(name: str, chain: Sequence[x509.Certificate]) -> list[Finding]:
    """RSA keys that OpenSSL refuses to use: HAProxy would not start, clients would not connect."""
    keys = [(one, one.public_key()) for one in chain]
    return [
        _error(
            f"{name} ({one.subject.rfc4514_string()}) has an RSA key of fewer than {RSA_BITS} bits"
            ", which OpenSSL refuses",
            "get one with a larger key",
        )
        for one, key in keys
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS
    ]


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no name"


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _time_findings(
    name: str, chain: list[x509.Certificate], now: datetime.datetime, remedy: str
) -> list[Finding]:
    first = min(chain, key=lambda one: one.not_valid_after_utc)
    start = max(one.not_valid_before_utc for one in chain)
    end = first.not_valid_after_utc
    which = "" if first is chain[0] else f" (its {first.subject.rfc4514_string()})"
    if start > now:
        return [
            _error(
                f"{name} is valid only from {_day(start)} on",
                "check it, and the control node's clock",
            )
        ]
    if end - now > SOON:
        return []
    if end <= now:
        return [_error(f"{name}{which} {_ended(end)}", remedy)]
    return [Finding(WARNING, CHECK, f"{name}{which} {_ends(end, now)}", remedy)]


def _ended(end: datetime.datetime) -> str:
    return f"ended on {_day(end)}"


def _ends(end: datetime.datetime, now: datetime.datetime) -> str:
    days = (end - now).days
    return f"ends on {_day(end)}, in {days} days"


def _day(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d}"
