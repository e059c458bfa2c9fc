"""No secret in what people see."""

from __future__ import annotations

import base64
import configparser
import html
import io
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml

from cairn import plain_yaml
from cairn.masking import Masker, secret_values
from cairn_host.masking import MASK, mask_pair, mask_urls

HARD = [
    "Zr9xQ2mB7vLk4pTn",
    "a$b%c&d<e>f",
    'it\'s "quoted" \\ here',
    "ünläut-£-密碼",
    "  spaces at ends  ",
    "#hash: {{ braces }} / and @",
    "0123456789",
    "tab\there",
]
OPTIONS = [
    "password = tiger",
    "connection = mysql+pymysql://nova:tiger@192.0.2.1/nova",
    "transport_url = rabbit://nova:tiger@192.0.2.1:5671,nova:tiger@192.0.2.2:5671//nova",
    "metadata_proxy_shared_secret=tiger",
    "memcache_secret_key = tiger",
    "admin_password: tiger",
    "    auth_pass = tiger",
    "        auth_pass tiger",
    "    password tiger",
    "auth_key = tiger",
    "key = tiger",
    "swift_key = tiger",
    "key2 = tiger",
    "default_pass = tiger",
    "swift_hash_path_prefix = tiger",
    "url = amqp://nova:tiger@192.0.2.1/",
    'Environment="OS_BOOTSTRAP_PASSWORD=tiger" LANG=C',
    "Environment=OS_BOOTSTRAP_PASSWORD=tiger LANG=C",
    '  "SECRET_KEY": "tiger",',
    "SECRET_KEY = 'tiger'",
]


@pytest.mark.parametrize("line", OPTIONS)
def test_secrets_are_masked_on_both_sides(line: str) -> None:
    before, after = mask_pair(f"[x]\n{line}\n", f"[x]\n{line.replace('tiger', 'lion1234')}\n")
    assert "tiger" not in before + after
    assert "lion1234" not in before + after


def test_a_changed_secret_is_marked_as_changed() -> None:
    _, after = mask_pair("password = one\n", "password = two\n")
    assert after == f"password = {MASK} (changed)\n"


def test_an_unchanged_secret_makes_no_difference() -> None:
    before, after = mask_pair("password = one\na = 1\n", "password = one\na = 2\n")
    assert before.splitlines()[0] == after.splitlines()[0]


def test_ordinary_options_stay_readable() -> None:
    text = (
        "passwordless = yes\nworkers = 2\nssl_key = /etc/cairn/tls/host.key\nkey_repository = x\n"
        "private_key_file = host.key\nssl-key = /etc/cairn/tls/host.key\nssh_key_path = a\n"
        "Environment=PATH=/usr/bin:/bin\n"
    )
    assert mask_pair(text, text) == (text, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://u:p@host/x", f"see https://u:{MASK}@host/x"),
        ("redis://:p@host:1", f"redis://:{MASK}@host:1"),
        ("http://u:p@ss/w@host/x", f"http://u:{MASK}@host/x"),
        ("rabbit://n:p@a:1,n:q@b:2,n:r@c", f"rabbit://n:{MASK}@a:1,n:{MASK}@b:2,n:{MASK}@c"),
        ('{"a": "http://u:p@h", "b": "x@y"}', f'{{"a": "http://u:{MASK}@h", "b": "x@y"}}'),
        ("http://host:80/x and me@example", "http://host:80/x and me@example"),
        ("HTTPS://u:p@host", f"HTTPS://u:{MASK}@host"),
        (f"https://u:{MASK}@host", f"https://u:{MASK}@host"),
    ],
)
def test_urls_lose_only_their_password(text: str, shown: str) -> None:
    assert mask_urls(text) == shown


def ini(value: str) -> str:
    parser = configparser.ConfigParser()
    parser.read_dict({"x": {"secret": value.replace("%", "%%")}})
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def literal(text: str) -> str:
    """A value as oslo.config has it; dialects.oslo refuses some that others may have written."""
    return text.replace("$", "$$")


WRITERS: dict[str, Callable[[str], str]] = {
    "itself": str,
    "in a word": "x{}y".format,
    "oslo.config": literal,
    "configparser": ini,
    "URL": lambda s: quote(s, safe=""),
    "path of a URL": quote,
    "query": quote_plus,
    "URL in oslo.config": lambda s: literal(quote(s, safe="")),
    "URL in alembic.ini": lambda s: quote(s, safe="").replace("%", "%%"),
    "JSON": json.dumps,
    "JSON of letters": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps(json.dumps({"a": s})),
    "YAML": yaml.safe_dump,
    "YAML, single": lambda s: yaml.safe_dump(s, default_style="'", allow_unicode=True),
    "YAML, double": lambda s: yaml.safe_dump(s, default_style='"'),
    "Python": repr,
    "Python of ASCII": ascii,
    "shell": shlex.quote,
    "HTML": html.escape,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "basic auth": lambda s: base64.b64encode(f"nova:{s}".encode()).decode(),
    "basic auth of another": lambda s: base64.b64encode(f"novas:{s}\n".encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(f"a:{s}".encode()).decode(),
}


@pytest.mark.parametrize("secret", HARD)
@pytest.mark.parametrize("how", WRITERS)
def test_a_secret_is_masked_however_it_is_written(how: str, secret: str) -> None:
    written = WRITERS[how](secret)
    shown = Masker([secret]).text(f"before {written} after")
    assert MASK in shown
    assert written.strip() not in shown and secret.strip() not in shown
    assert shown.startswith("before ") and shown.endswith(" after")
    core = WRITERS[how](secret.strip())[4:-4]
    assert not core or core not in shown


def test_a_key_is_masked_line_by_line() -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", "ab1/" * 16, "cd2+" * 16, "ef3=gh4=", "-----END"]
    masker = Masker(["\n".join(lines) + "\n"])
    assert masker.text("\n".join(lines)) == MASK
    shown = masker.text(f"  {lines[1]}\n  {lines[3]}\n  {lines[0]}\n")
    assert shown == f"  {MASK}\n  {MASK}\n  {lines[0]}\n"
    assert masker.text(json.dumps({"key": "\n".join(lines)})) == f'{{"key": "{MASK}"}}'


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert Masker(["tiger-1", "tiger-12", "xtiger-12"]).text("xtiger-123") == f"{MASK}3"


@pytest.mark.parametrize("secret", ["", "1", "nova", "true", None])
def test_very_short_secrets_do_not_make_text_unreadable(secret: str | None) -> None:
    text = "nova: 1 worker, debug true"
    assert Masker([secret]).text(text) == text
    # By the name of their option they are masked all the same.
    shown = mask_pair("", f"password = {secret or 'x'}\n")[1]
    assert shown == f"password = {MASK}\n"


def test_data_keeps_its_shape() -> None:
    secret = "0123456789"
    masker = Masker([secret])
    data = {
        "msg": f"refused: {secret}",
        secret: [1, True, None, 1012345678901, f"{secret}", ("a", secret)],
        "deep": {"stderr": f"http://u:{secret}@host"},
    }
    assert masker.data(data) == {
        "msg": f"refused: {MASK}",
        MASK: [1, True, None, 1012345678901, MASK, ["a", MASK]],
        "deep": {"stderr": f"http://u:{MASK}@host"},
    }


def test_the_older_secret_of_an_option_without_a_telling_name_is_masked_too() -> None:
    masker = Masker(["the new one"])
    difference = {
        "before": "[x]\nfrobnicate = the old one\nworkers = 1\n",
        "after": "[x]\nfrobnicate = the new one\nworkers = 2\n",
    }
    assert masker.data([difference]) == [
        {
            "before": f"[x]\nfrobnicate = {MASK}\nworkers = 1\n",
            "after": f"[x]\nfrobnicate = {MASK} (changed)\nworkers = 2\n",
        }
    ]
    # A secret that stays makes no difference.
    same = {"before": "frobnicate = the new one", "after": "frobnicate = the new one"}
    assert masker.data(same) == dict.fromkeys(same, f"frobnicate = {MASK}")


def test_variables_that_hold_secrets_are_known_by_name() -> None:
    variables = {
        "cairn_secrets": {"database_nova": "tiger-db", "ca_certificate": "public"},
        "ansible_become_password": "tiger-sudo",
        "ansible_ssh_private_key_file": "keys/host",
        "pki_public_key": "tiger-key",
        "pki_public_certificate": "public",
        "glance_config": {
            "glance-api.conf": {
                "s3": {"s3_store_secret_key": "tiger-s3", "s3_store_host": "https://a"},
                "database": {"connection": "mysql://a:b@c"},
            }
        },
        "cairn_planes": {"management": {"key": "x"}},
        "base_operators": [{"name": "a"}],
        "ansible_password": None,
    }
    assert set(secret_values(variables)) == {"tiger-db", "tiger-sudo", "tiger-key", "tiger-s3"}


def mappings(root: Path) -> Iterator[tuple[str, Any]]:
    """Variables of roles that hold mappings, each with a password of digits deep inside."""
    inside = {"part": {"swift_key": "tiger-text", "password": 12345678}}
    for path in root.glob("roles/*/meta/argument_specs.yml"):
        described = yaml.safe_load(path.read_text())["argument_specs"].get("main", {})
        for name, option in described.get("options", {}).items():
            if option.get("type") == "dict":
                yield name, inside
            elif option.get("elements") == "dict":
                yield name, [inside]


def test_secret_options_are_known_in_every_variable_of_a_role(root: Path) -> None:
    variables = dict(mappings(root))
    assert {"swift_sync_realms", "nova_config", "rabbitmq_settings", "base_operators"} <= {
        *variables
    }
    unknown = {n for n, v in variables.items() if len(list(secret_values({n: v}))) != 2}
    assert unknown == set()


def test_no_word_of_a_roles_own_variables_is_taken_for_a_secret(root: Path) -> None:
    """They are variables of each of its tasks: `secrets: {telemetry_secret: password}`."""
    files = {path: plain_yaml.load(path.read_text()) for path in root.glob("roles/*/vars/main.yml")}
    described = files[root / "roles/ceilometer/vars/main.yml"]["ceilometer_service"]
    assert described["secrets"] == {"telemetry_secret": "password"}
    found = {str(path): list(secret_values(values or {})) for path, values in files.items()}
    assert {path: words for path, words in found.items() if words} == {}
    assert list(secret_values({"billing_service": {"password": "tiger"}})) == ["tiger"]


def test_the_name_in_an_entry_of_a_mapping_is_no_secret() -> None:
    entries = [{"key": "controller1", "value": 1}, {"key": "tiger", "endpoint": "/example"}]
    assert list(secret_values({"item": entries[0], "entries": entries})) == ["tiger"]


@pytest.mark.parametrize("name", ["ansible_become_password", "ansible_ssh_pass"])
def test_a_password_that_yaml_reads_as_a_number_is_masked(name: str) -> None:
    assert Masker(secret_values({name: 12345678})).text("sudo: 12345678") == f"sudo: {MASK}"
    assert list(secret_values({name: True})) == []
