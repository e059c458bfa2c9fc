#!/usr/bin/python
"""Module: the host's part of its certificate; the action plugin of the same name signs it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_certificate
short_description: Keep a host's key and certificate
description:
  - As an action it takes C(subjects), C(days), C(renew_days) and C(identity) (recorded on the host
    as the certificate's inputs). It gets a signing request from the host, signs it on the control
    node with the site's authority if the host's certificate must be replaced, and installs it.
  - The options below are those of the two calls that the action makes on the host.
options:
  step:
    description: Return a signing request (and create the key, once), or install a certificate.
    type: str
    choices: [request, install]
    required: true
  authority:
    description: The authority's certificate in PEM.
    type: str
    required: true
  certificate:
    description: The new certificate in PEM; without it only the authority is installed.
    type: str
  records:
    description: Records to write once all services use the certificate.
    type: dict
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create or renew the host's certificate
  cairn_certificate:
    subjects: [compute1, 192.0.2.21]
    days: 397
    renew_days: 30
    identity: compute1 192.0.2.21
"""

RETURN = r"""
request:
  description: A signing request in PEM; empty in check mode on a host without a key.
  type: str
  returned: step is request
certificate:
  description: The host's certificate in PEM; empty if it has none.
  type: str
  returned: step is request
complete:
  description: Whether the system trusts the authority and all services use the certificate.
  type: bool
  returned: step is request
reloaded:
  description: The programs that reloaded services with the new certificate.
  type: list
  returned: step is install
"""

import grp
import os
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.errors import HostError, refusals
from ansible.module_utils.cairn_host.files import write_atomic
from ansible.module_utils.cairn_host.records import record
from ansible.module_utils.cairn_host.system import must

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
    """Create the host's key if there is none; True if it was created now."""
    if KEY.exists():
        return False
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        must(["groupadd", "--system", GROUP], f"creating group {GROUP}")
    made: str = must(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "creating the host's key",
    )
    write_atomic(KEY, made.encode(), 0o640, "root", GROUP)
    return True


def signing_request() -> str:
    """A request that proves the possession of the key; the control node sets the names."""
    name = f"/CN={os.uname().nodename[:64]}"
    command = ["openssl", "req", "-new", "-key", str(KEY), "-subj", name]
    made: str = must(command, "creating a signing request")
    return made


def trusted(authority: str) -> bool:
    """Whether the system's bundle and Cairn's own file contain the authority."""
    certificate = authority.strip()
    return certificate in text(BUNDLE) and text(LINK).strip() == certificate


def trust(authority: str) -> None:
    """Add the authority to the system's bundle."""
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


def request(module: AnsibleModule) -> dict[str, object]:
    """The first call: the signing request and the present certificate."""
    existed = KEY.exists()
    if module.check_mode and not existed:
        signing = ""
    else:
        ensure_key()
        signing = signing_request()
    return {
        "changed": not existed,
        "request": signing,
        "certificate": text(CERTIFICATE),
        "complete": trusted(module.params["authority"]) and not RELOAD_DUE.exists(),
    }


def install(module: AnsibleModule) -> dict[str, object]:
    """The second call: install the authority and the certificate, and reload services."""
    authority, certificate = module.params["authority"], module.params["certificate"]
    if not trusted(authority):
        trust(authority)
    RELOAD_DUE.touch()
    if certificate:
        write_atomic(CERTIFICATE, certificate.encode(), 0o644, "root", "root")
    reloaded = reload_services()
    RELOAD_DUE.unlink()
    for name, value in (module.params["records"] or {}).items():
        record(name, value)
    return {"changed": True, "reloaded": reloaded}


def main() -> None:
    """Run one step."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["request", "install"], "required": True},
            "authority": {"type": "str", "required": True},
            "certificate": {"type": "str"},
            "records": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    try:
        step = request if module.params["step"] == "request" else install
        with refusals():
            module.exit_json(**step(module))
    except HostError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
