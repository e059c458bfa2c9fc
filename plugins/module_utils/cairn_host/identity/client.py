"""Keystone's identity API over HTTP, and the bootstrap of its administrator.

Runs on the first controller in keystone's own virtualenv, which has `requests`.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from .. import errors

PATIENCE = 120  # seconds for the load balancer to consider keystone healthy


class Client:
    """The identity API, version 3; what `keystone.Api` describes, and `login`.

    Each request is repeated for PATIENCE seconds while keystone does not answer, or the load
    balancer does not yet consider it healthy. HostError after that, and if keystone answers with
    an error.
    """

    def __init__(self, url: str, ca_file: str) -> None:
        """`url` with its version; `ca_file` has the authority of its certificate."""
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
        """Log in as the administrator; False if keystone does not know the user or the password."""
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
    """Create or repair the administrator with keystone's own command.

    `command` runs as `user` and takes the password from OS_BOOTSTRAP_PASSWORD (keystone-manage
    bootstrap), so that it is in no argument. HostError with the end of its output if it fails.
    """
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
