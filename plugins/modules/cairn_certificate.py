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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import tls
from ansible.module_utils.cairn_host.errors import HostError


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
    authority = module.params["authority"]
    try:
        if module.params["step"] == "request":
            result = tls.request(authority, module.check_mode)
        else:
            records = module.params["records"] or {}
            reloaded = tls.install(authority, module.params["certificate"], records)
            result = {"changed": True, "reloaded": reloaded}
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
