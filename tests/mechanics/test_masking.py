"""No secret in what people see."""

from __future__ import annotations

import pytest
from cairn.masking import MASK, mask_known, mask_pair, mask_urls


@pytest.mark.parametrize(
    "line",
    [
        "password = tiger",
        "connection = mysql+pymysql://nova:tiger@192.0.2.1/nova",
        "transport_url = rabbit://nova:tiger@192.0.2.1:5671,nova:tiger@192.0.2.2:5671//nova",
        "metadata_proxy_shared_secret=tiger",
        "memcache_secret_key = tiger",
        "admin_password: tiger",
        "    auth_pass = tiger",
        "auth_key = tiger",
        "swift_hash_path_prefix = tiger",
        "url = amqp://nova:tiger@192.0.2.1/",
    ],
)
def test_secrets_are_masked_on_both_sides(line):
    before, after = mask_pair(f"[x]\n{line}\n", f"[x]\n{line.replace('tiger', 'lion1234')}\n")
    assert "tiger" not in before + after
    assert "lion1234" not in before + after


def test_a_changed_secret_is_told_as_changed():
    _, after = mask_pair("password = one\n", "password = two\n")
    assert after == f"password = {MASK} (changed)\n"


def test_an_unchanged_secret_makes_no_difference():
    before, after = mask_pair("password = one\na = 1\n", "password = one\na = 2\n")
    assert before.splitlines()[0] == after.splitlines()[0]


def test_ordinary_options_stay_readable():
    text = "passwordless = yes\nworkers = 2\n"
    assert mask_pair(text, text) == (text, text)


def test_urls_lose_only_their_password():
    assert mask_urls("see https://u:p@host/x") == f"see https://u:{MASK}@host/x"


def test_known_values_are_masked_anywhere():
    assert mask_known("trace: s3cr3t-value!", ["s3cr3t-value"]) == f"trace: {MASK}!"
