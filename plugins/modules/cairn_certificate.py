#!/usr/bin/python
"""Module: the host's part in having a certificate. The action of the same name does the signing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_certificate
short_description: Keep a host's key and certificate
description:
  - As an action it takes C(subjects), C(days), C(renew_days) and C(identity) (what the host records
    as the certificate's inputs), asks the host for a signing request, signs it on the controller
    with the site's authority when the host's certificate will not do, and installs it.
  - What stands below are the two calls that it makes on the host.
options:
  step:
    description: Whether to give a signing request (and make the key, once), or to install.
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
    description: Small facts to keep on the host once the certificate is in use everywhere.
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
  description: A signing request in PEM; empty in check mode on a host that has no key yet.
  type: str
  returned: step is request
certificate:
  description: The certificate that the host has, in PEM; empty when it has none.
  type: str
  returned: step is request
complete:
  description: Whether the system trusts the authority and all services know of the certificate.
  type: bool
  returned: step is request
reloaded:
  description: The programs that told services of the new certificate.
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
UNTOLD = TLS / ".untold"  # there from before a certificate changes until every hook has run
GROUP = "cairn-tls"
ANCHOR = Path("/usr/local/share/ca-certificates/cairn-ca.crt")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LINK = Path("/etc/ssl/certs/cairn-ca.pem")  # made by update-ca-certificates


def text(path: Path) -> str:
    """A file's text; empty when there is no such file."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def ensure_key() -> bool:
    """Make the host's key when there is none; True when it was made now."""
    if KEY.exists():
        return False
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        must(["groupadd", "--system", GROUP], f"making group {GROUP}")
    made: str = must(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "making the host's key",
    )
    write_atomic(KEY, made.encode(), 0o640, "root", GROUP)
    return True


def signing_request() -> str:
    """A request that proves the host holds its key; the names are the controller's business."""
    name = f"/CN={os.uname().nodename[:64]}"
    command = ["openssl", "req", "-new", "-key", str(KEY), "-subj", name]
    made: str = must(command, "making a signing request")
    return made


def trusted(authority: str) -> bool:
    """Whether the system's bundle and Cairn's own file hold the authority."""
    wanted = authority.strip()
    return wanted in text(BUNDLE) and text(LINK).strip() == wanted


def trust(authority: str) -> None:
    """Have the whole system trust the authority."""
    write_atomic(ANCHOR, authority.encode(), 0o644, "root", "root")
    must(["update-ca-certificates"], "taking the authority into the system's bundle")


def reload_services() -> list[str]:
    """Run every hook that a service left; their names. HostError tells which ones failed."""
    hooks = sorted(p for p in HOOKS.iterdir() if os.access(p, os.X_OK)) if HOOKS.is_dir() else []
    failed = []
    for hook in hooks:
        done = subprocess.run([str(hook)], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            failed.append(f"{hook} (exit {done.returncode}): {said}")
    if failed:
        raise HostError("the new certificate is in place, but not in use:\n" + "\n".join(failed))
    return [hook.name for hook in hooks]


def request(module: AnsibleModule) -> dict[str, object]:
    """The first call."""
    there = KEY.exists()
    if module.check_mode and not there:
        signing = ""
    else:
        ensure_key()
        signing = signing_request()
    return {
        "changed": not there,
        "request": signing,
        "certificate": text(CERTIFICATE),
        "complete": trusted(module.params["authority"]) and not UNTOLD.exists(),
    }


def install(module: AnsibleModule) -> dict[str, object]:
    """The second call; only made when there is something to install."""
    authority, certificate = module.params["authority"], module.params["certificate"]
    if not trusted(authority):
        trust(authority)
    UNTOLD.touch()
    if certificate:
        write_atomic(CERTIFICATE, certificate.encode(), 0o644, "root", "root")
    reloaded = reload_services()
    UNTOLD.unlink()
    for name, value in (module.params["records"] or {}).items():
        record(name, value)
    return {"changed": True, "reloaded": reloaded}


def main() -> None:
    """Do one step."""
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
