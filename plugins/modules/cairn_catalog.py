#!/usr/bin/python
"""Module: keystone's catalog, service users and roles, declared in one call."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, reconcile
from ansible.module_utils.cairn_host.identity.keystone import Declaration

DOCUMENTATION = r"""
module: cairn_catalog
short_description: Declares region, services, endpoints, domains, service users and their roles
description:
  - The action plugin of the same name collects all roles' descriptions and calls this once, on the
    first controller, with the Python of keystone's virtualenv.
  - Changes only what differs, and checks passwords by logging in. If the administrator cannot log
    in, it bootstraps keystone first.
options:
  auth_url:
    description: The internal URL of keystone's API, with its version.
    type: str
    required: true
  ca_file:
    description: Certificate authority of the API's certificate.
    type: str
    required: true
  admin_password:
    description: Password of the user C(admin).
    type: str
    required: true
  bootstrap:
    description: Command that bootstraps keystone; it reads the password from its environment.
    type: list
    elements: str
    required: true
  user:
    description: Account that runs the command.
    type: str
    required: true
  region:
    description: Name of the region.
    type: str
    required: true
  services:
    description: Services of the catalog.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Its name., type: str, required: true}
      type: {description: Its type., type: str, required: true}
      description: {description: What it is., type: str, required: true}
      internal: {description: Its internal URL., type: str, required: true}
      public: {description: Its public URL., type: str, required: true}
  users:
    description: Service users.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Its name., type: str, required: true}
      password: {description: Its password., type: str, required: true}
      project: {description: The project in which it has its roles., type: str, required: true}
      roles: {description: Its roles., type: list, elements: str, required: true}
  domains:
    description: Domains in addition to the default one.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      admin: {description: The user who administers it., type: str, required: true}
      password: {description: The password of that user., type: str, required: true}
  roles:
    description: Roles that must exist even if no service user has them.
    type: list
    elements: str
    default: []
  record:
    description: Value of the record that is written on success.
    type: str
    required: true
author: Cairn
"""

EXAMPLES = r"""
- name: Create services, endpoints, service users and roles in keystone
  cairn_catalog:
"""

RETURN = r"""
changes:
  description: What was, or in check mode would be, created or changed.
  returned: success
  type: list
"""

SERVICE_KEYS = ("name", "type", "description", "internal", "public")
PATIENCE = 120  # seconds for the load balancer to consider keystone healthy


class Keystone:
    """The identity API over HTTP; see `keystone.Api`."""

    def __init__(self, url: str, ca_file: str) -> None:
        """`url` with its version; `ca_file` signed its certificate."""
        import requests  # in keystone's virtualenv only

        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.verify = ca_file
        # Without the host's proxy (/etc/environment): this is the cloud itself.
        self.session.trust_env = False
        self.busy = (requests.ConnectionError, requests.Timeout)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request, and repeat it until the API answers."""
        end = time.monotonic() + PATIENCE
        while True:
            problem: object
            try:
                answer = self.session.request(method, self.url + path, json=body, timeout=60)
                if answer.status_code not in (502, 503, 504):
                    return answer
                problem = answer.status_code
            except self.busy as error:
                problem = error
            if time.monotonic() > end:
                raise errors.HostError(
                    f"{method} {self.url}{path}: no answer for {PATIENCE} s: {problem}; see "
                    "journalctl -u keystone-api -u haproxy"
                )
            time.sleep(2)

    def _login(self, user: dict[str, Any], password: str, scope: dict[str, Any] | None) -> Any:
        identity = {"methods": ["password"], "password": {"user": {**user, "password": password}}}
        auth = {"identity": identity, **({"scope": scope} if scope else {})}
        return self._request("POST", "/auth/tokens", {"auth": auth})

    def login(self, password: str) -> bool:
        """Log in as the administrator; False if the user or the password is wrong."""
        domain = {"id": "default"}
        scope = {"project": {"name": "admin", "domain": domain}}
        answer = self._login({"name": "admin", "domain": domain}, password, scope)
        if answer.status_code == 401:
            return False
        self._refuse_errors(answer)
        self.session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        return True

    def password_is(self, user_id: str, password: str) -> bool:
        """Whether the user can log in with this password."""
        answer = self._login({"id": user_id}, password, None)
        if answer.status_code == 401:
            return False
        self._refuse_errors(answer)
        return True

    def exists(self, path: str) -> bool:
        """Whether `path` exists."""
        answer = self._request("GET", path)
        if answer.status_code == 404:
            return False
        self._refuse_errors(answer)
        return True

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request as the administrator."""
        answer = self._request(method, path, body)
        self._refuse_errors(answer)
        content: dict[str, Any] = answer.json() if answer.content else {}
        return content

    @staticmethod
    def _refuse_errors(answer: Any) -> None:
        if answer.status_code >= 400:
            request = answer.request
            path = request.url
            raise errors.HostError(
                f"{request.method} {path}: {answer.status_code} {answer.text[:500]}"
            )


def bootstrap(command: list[str], user: str, password: str) -> None:
    """Create or repair the administrator, with keystone's own command."""
    done = subprocess.run(
        ["runuser", f"--user={user}", "--", *command],
        env={**os.environ, "OS_BOOTSTRAP_PASSWORD": password},
        cwd=Path("/"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise errors.HostError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-1500:]}")


def declare(asked: dict[str, Any], check_mode: bool) -> list[str]:
    """Declare everything; returns the changes as sentences."""
    keystone = Keystone(asked["auth_url"], asked["ca_file"])
    changes: list[str] = []
    if not keystone.login(asked["admin_password"]):
        changes.append("user admin: bootstrapped")
        if check_mode:
            return changes
        bootstrap(asked["bootstrap"], asked["user"], asked["admin_password"])
        if not keystone.login(asked["admin_password"]):
            raise errors.HostError("keystone was bootstrapped, but admin still cannot log in")
    declaration = Declaration(keystone, check_mode=check_mode)
    changes += declaration.declare(
        asked["region"], asked["services"], asked["users"], asked["domains"], asked["roles"]
    )
    return changes


def main() -> None:
    """Run the module."""
    text = {"type": "str", "required": True}
    entries = {"type": "list", "elements": "dict", "required": True}
    module = AnsibleModule(
        argument_spec={
            "auth_url": text,
            "ca_file": text,
            "admin_password": {**text, "no_log": True},
            "bootstrap": {"type": "list", "elements": "str", "required": True},
            "user": text,
            "region": text,
            "services": {
                **entries,
                "options": dict.fromkeys(SERVICE_KEYS, text),
            },
            "users": {
                **entries,
                "options": {
                    "name": text,
                    "password": {**text, "no_log": True},
                    "project": text,
                    "roles": {"type": "list", "elements": "str", "required": True},
                },
            },
            "domains": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": text, "admin": text, "password": {**text, "no_log": True}},
            },
            "roles": {"type": "list", "elements": "str", "default": []},
            "record": {**text, "no_log": False},
        },
        supports_check_mode=True,
    )
    reconcile.keep(module, "catalog", declare)


if __name__ == "__main__":
    main()
