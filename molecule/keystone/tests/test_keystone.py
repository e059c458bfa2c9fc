"""Keystone on the controllers."""

from __future__ import annotations

from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]
KEYS = ["/var/lib/keystone/fernet-keys", "/var/lib/keystone/credential-keys"]


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("keystone-api")


def test_the_api_answers_on_one_address_only_and_refuses_the_anonymous(
    own_url: Any, status: Any
) -> None:
    assert status(own_url(5000, "/v3/projects")) == "401"


@pytest.mark.parametrize("folder", KEYS)
def test_there_are_a_staged_and_a_primary_key_that_only_keystone_reads(
    host: Any, folder: str
) -> None:
    assert host.file(folder).mode == 0o700
    numbers = host.file(folder).listdir()
    assert "0" in numbers
    assert len(numbers) > 1
    for number in numbers:
        key = host.file(f"{folder}/{number}")
        assert (key.user, key.mode, key.size) == ("keystone", 0o600, 44)


def test_the_process_is_not_roots_and_cannot_write_to_the_system(host: Any) -> None:
    (main, *_) = host.process.filter(comm="uwsgi", user="keystone")
    status = host.file(f"/proc/{main.pid}/status").content_string
    assert "NoNewPrivs:\t1" in status


def test_configuration_with_secrets_is_read_by_the_service_alone(host: Any) -> None:
    conf = host.file("/etc/keystone/keystone.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "keystone", 0o640)


def test_keystones_own_doctor_finds_its_keys_in_order(host: Any) -> None:
    manage = "/var/lib/cairn/services/keystone/current/venv/bin/keystone-manage"
    done = host.run(f"runuser -u keystone -- {manage} doctor")
    # It exits with 1 for any symptom; those of keys mention a "key repository".
    assert done.rc == 0 or "WARNING: " in done.stdout, done.stderr
    assert "key repositor" not in done.stdout.lower()
