"""The host's key, certificate and trust in the site's authority.

The key never leaves the host: the control node signs a request (`request`), and the host installs
the certificate (`install`) and has its services reload it.
"""

from __future__ import annotations

import grp
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import HostError, refusals
from .files import write_atomic
from .records import record
from .system import must

TLS = Path("/etc/cairn/tls")
KEY = TLS / "host.key"
CERTIFICATE = TLS / "host.pem"
HOOKS = TLS / "reload.d"
RELOAD_DUE = TLS / ".untold"  # exists until every hook has run after a change of the certificate
GROUP = "cairn-tls"
ANCHOR = Path("/usr/local/share/ca-certificates/cairn-ca.crt")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LINK = Path("/etc/ssl/certs/cairn-ca.pem")  # created by update-ca-certificates


def text(path: Path) -> str:
    """A file's text; empty if it does not exist."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def ensure_key() -> bool:
    """Create the host's key if there is none; True if it was created now.

    Services read it as members of GROUP. HostError if a command fails.
    """
    if KEY.exists():
        return False
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        must(["groupadd", "--system", GROUP], f"creating group {GROUP}")
    made = must(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "creating the host's key",
    )
    write_atomic(KEY, made.encode(), 0o640, "root", GROUP)
    return True


def signing_request() -> str:
    """A signing request in PEM that proves the possession of the key.

    The control node sets the certificate's names, whatever the request has. HostError without a
    key.
    """
    name = f"/CN={os.uname().nodename[:64]}"
    command = ["openssl", "req", "-new", "-key", str(KEY), "-subj", name]
    return must(command, "creating a signing request")


def trusted(authority: str) -> bool:
    """Whether the system's bundle and Cairn's own file contain the authority, a PEM certificate."""
    certificate = authority.strip()
    return certificate in text(BUNDLE) and text(LINK).strip() == certificate


def trust(authority: str) -> None:
    """Add the authority, a PEM certificate, to the system's bundle (update-ca-certificates(8))."""
    write_atomic(ANCHOR, authority.encode(), 0o644, "root", "root")
    must(["update-ca-certificates"], "adding the authority to the system's bundle")


def reload_services() -> list[str]:
    """Run every service's hook; returns their names. HostError with the hooks that failed."""
    hooks = sorted(p for p in HOOKS.iterdir() if os.access(p, os.X_OK)) if HOOKS.is_dir() else []
    failed = []
    for hook in hooks:
        done = subprocess.run([str(hook)], capture_output=True, text=True, check=False)
        if done.returncode:
            output = (done.stderr or done.stdout).strip()
            failed.append(f"{hook} (exit {done.returncode}): {output}")
    if failed:
        raise HostError(
            "the new certificate is installed, but services still use the old one; the next run "
            "tries again:\n" + "\n".join(failed)
        )
    return [hook.name for hook in hooks]


def request(authority: str, check_mode: bool) -> dict[str, object]:
    """The signing request (created with the key, once) and the present certificate.

    `complete` says whether the system trusts `authority` and all services use the certificate. In
    check mode no key is created, and without one the request is empty. HostError if a command or a
    file fails.
    """
    with refusals():
        existed = KEY.exists()
        if check_mode and not existed:
            signing = ""
        else:
            ensure_key()
            signing = signing_request()
        return {
            "changed": not existed,
            "request": signing,
            "certificate": text(CERTIFICATE),
            "complete": trusted(authority) and not RELOAD_DUE.exists(),
        }


def install(authority: str, certificate: str | None, records: Mapping[str, str]) -> list[str]:
    """Install the authority and the certificate; returns the names of the reload hooks.

    Without a certificate only the authority is installed. `records`, name to value,
    are written once all services have reloaded. HostError if a service did not: the next run tries
    again.
    """
    with refusals():
        if not trusted(authority):
            trust(authority)
        RELOAD_DUE.touch()
        if certificate:
            write_atomic(CERTIFICATE, certificate.encode(), 0o644, "root", "root")
        reloaded = reload_services()
        RELOAD_DUE.unlink()
        for name, value in records.items():
            record(name, value)
        return reloaded
