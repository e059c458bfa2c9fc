"""Keystone's keys are replaced while the cloud is in use, and its users do not notice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.lab.deployed import Cloud

pytestmark = pytest.mark.lab

KINDS = ("fernet", "credential")
KEYS = "cd /var/lib/keystone && sha256sum {kind}-keys/* | sha256sum"
MANAGE = (
    "runuser --user=keystone -- /var/lib/cairn/services/keystone/current/venv/bin/keystone-manage"
)


class Token:
    """A token of the administrator's, kept where no process list and no failed test shows it."""

    def __init__(self, cloud: Cloud, path: Path) -> None:
        self.cloud, self.path = cloud, path
        done = cloud.openstack("token", "issue", "--format=value", "--column=id")
        assert done.returncode == 0, done.stderr
        token = done.stdout.strip()
        path.touch(mode=0o600)
        path.write_text(f"X-Auth-Token: {token}\nX-Subject-Token: {token}\n")
        clouds = yaml.safe_load((cloud.operator / "clouds.yaml").read_text())["clouds"]
        self.url = f"{clouds['cairn']['auth']['auth_url']}/auth/tokens"

    def status(self) -> str:
        """What keystone answers to someone who has this token, and asks whether it is valid."""
        return self.cloud.lab(
            *("exec", "--", "curl", "--silent", "--output", "/dev/null", "--write-out"),
            *("%{http_code}", "--cacert", str(self.cloud.operator / "ca.pem")),
            *("--header", f"@{self.path}", self.url),
        ).strip()


@pytest.fixture
def credential(cloud):
    """A stored credential, which keystone keeps encrypted; a function that reads its secret."""
    made = cloud.openstack("ec2", "credentials", "create", "--format=json")
    assert made.returncode == 0, made.stderr
    access = json.loads(made.stdout)["access"]

    def read() -> str:
        shown = cloud.openstack("ec2", "credentials", "show", access, "--format=json")
        assert shown.returncode == 0, shown.stderr
        return str(json.loads(shown.stdout)["secret"])

    yield read
    assert cloud.openstack("ec2", "credentials", "delete", access).returncode == 0


def test_a_rotation_that_was_cut_off_is_completed_by_the_next(cloud, credential):
    secret = credential()
    # As a run leaves it that dies before it has encrypted the stored credentials again.
    cloud.on("controller1", f"{MANAGE} credential_rotate")
    code, text = cloud.run("playbooks/rotate-keys.yml")
    assert code == 0, text
    same = credential() == secret
    assert same, "another secret was read than was stored"


def test_tokens_and_credentials_outlive_a_rotation_of_the_keys(cloud, credential, tmp_path):
    before = {kind: cloud.on("controller1", KEYS.format(kind=kind)) for kind in KINDS}
    token, secret = Token(cloud, tmp_path / "old"), credential()
    assert token.status() == "200"
    code, text = cloud.run("playbooks/rotate-keys.yml")
    assert code == 0, text
    after = {kind: cloud.on("controller1", KEYS.format(kind=kind)) for kind in KINDS}
    assert {kind for kind in KINDS if after[kind] == before[kind]} == set()
    # Answers from the caches would prove nothing.
    cloud.on("controller1", "systemctl restart memcached")
    assert token.status() == "200"
    same = credential() == secret
    assert same, "another secret was read than was stored"
    assert Token(cloud, tmp_path / "new").status() == "200"
    assert cloud.problems() == []
