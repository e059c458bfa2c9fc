"""The secrets of a site are complete, made once, and never lost."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cairn.service import registry
from cairn.site import certificates, secrets
from tests.lab.cloud import characters

PLANES: dict[str, dict[str, Any]] = {
    "management": {"cidr": "198.18.0.0/24", "vip": "198.18.0.10"},
    "storage": {"mtu": 9000},
}
# Files whose variables win over those of group_vars/all/secrets.yml.
STRONGER = (
    *("group_vars/all/vault/site.yml", "group_vars/controller.yml"),
    *("host_vars/c1.yml", "hosts.yml"),
)
GLANCE = {"databases": ["glance"], "queue": True, "catalog": {"type": "image"}}


@pytest.fixture
def tool(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delenv("CAIRN_VAULT_PASSWORD_FILE", raising=False)
    return script("tools/site_secrets.py")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site/group_vars/all").mkdir(parents=True)
    (tmp_path / "site/hosts.yml").write_text("controller: {hosts: {c1: }}\n")
    describe_planes(tmp_path / "site", PLANES)
    describe_role(tmp_path, "glance", GLANCE)
    return tmp_path / "site"


def describe_planes(site: Path, planes: dict[str, Any]) -> None:
    (site / "group_vars/all/planes.yml").write_text(yaml.safe_dump({"cairn_planes": planes}))


def describe_role(tree: Path, role: str, description: dict[str, Any]) -> None:
    path = tree / "roles" / role / "vars/main.yml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({f"{role}_service": description}))
    registry.read.cache_clear()  # a run of the command reads them once


def secrets_file(site: Path) -> Path:
    return site / "group_vars/all/secrets.yml"


def opened(site: Path) -> dict[str, Any]:
    password = (site / ".vault-password").read_bytes().strip()
    vault = VaultLib([("default", VaultSecret(password))])
    content: dict[str, Any] = yaml.safe_load(vault.decrypt(secrets_file(site).read_bytes()))
    return content


def make(tool: ModuleType, site: Path) -> list[str]:
    added: list[str] = tool.make(site, site.parent)
    return added


def test_a_description_asks_by_database_queue_catalog_and_own_names() -> None:
    horizon = {"secrets": {"horizon_secret_key": "password"}}
    wanted = secrets.required({"glance": GLANCE, "horizon": horizon, "base": {}}, PLANES)
    assert set(wanted) - set(secrets.SHARED) == {
        "database_glance",
        "queue_glance",
        "service_glance",
        "horizon_secret_key",
        "keepalived_management",
    }


def test_the_administrator_of_a_domain_has_a_password_of_his_own() -> None:
    entry = {"type": "orchestration", "domain": {"name": "heat", "admin": "heat_domain_admin"}}
    wanted = secrets.required({"heat": {"catalog": [entry]}}, {})
    assert set(wanted) - set(secrets.SHARED) == {"service_heat", "service_heat_domain_admin"}


@pytest.mark.parametrize("name", secrets.SHARED)
def test_what_belongs_to_no_one_service_is_read_by_something(root: Path, name: str) -> None:
    sources = [
        path
        for folder in ("roles", "plugins", "filter_plugins")
        for path in (root / folder).rglob("*.*")
        if path.suffix in (".py", ".yml", ".j2") and path.name != "secrets.py"
    ]
    assert any(re.search(rf"\b{name}\b", path.read_text()) for path in sources)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"Key": "password"}, "lower case"),
        ({"key": "rot13"}, "use one of password"),
        ({"ca_key": "password"}, "but 'ca' elsewhere"),
    ],
)
def test_the_error_on_a_wrong_name_or_kind_names_its_file(
    asked: dict[str, str], complaint: str
) -> None:
    with pytest.raises(secrets.SecretsError, match=complaint) as caught:
        secrets.required({"glance": {"secrets": asked}}, {})
    assert "roles/glance/vars/main.yml" in str(caught.value)


def test_values_differ_and_need_no_quoting() -> None:
    wanted = secrets.required({"glance": GLANCE}, PLANES)
    made = secrets.complete(wanted, {})
    plain = [value for name, value in made.items() if not name.startswith("ca_")]
    assert set(made) == set(wanted)
    assert len(set(plain)) == len(plain)
    assert all(value.isalnum() for value in plain)
    assert len(made["keepalived_management"]) == 8
    assert len(made["keystone_admin"]) == 32


def test_the_certificate_authority_signs_and_belongs_to_its_key() -> None:
    certificate_pem, key_pem = certificates.certificate_authority()
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.public_key() == key.public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    years = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days / 365
    assert years == certificates.CA_YEARS


@pytest.mark.parametrize("lost", ["ca_certificate", "ca_key"])
def test_half_a_certificate_authority_is_never_replaced(lost: str) -> None:
    wanted = secrets.required({}, {})
    have = {name: "x" for name in wanted if name != lost}
    with pytest.raises(secrets.SecretsError, match=f"{lost} is not: restore"):
        secrets.complete(wanted, have)


def test_a_new_site_gets_everything_encrypted_and_private(tool: ModuleType, site: Path) -> None:
    added = make(tool, site)
    wanted = secrets.required({"glance": GLANCE}, PLANES)
    assert set(opened(site)["cairn_secrets"]) == set(wanted) == set(added)
    assert secrets_file(site).read_bytes().startswith(b"$ANSIBLE_VAULT;")
    for path in (secrets_file(site), site / ".vault-password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_nothing_asks_for_any_more_stays() -> None:
    wanted = secrets.required({}, {})
    have = {**dict.fromkeys(wanted, "x"), "database_root": "of an older Cairn"}
    assert secrets.missing(wanted, have) == []
    assert secrets.complete(wanted, have) == have


def test_a_second_run_leaves_the_file_alone(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    before = secrets_file(site).read_bytes()
    assert make(tool, site) == []
    assert secrets_file(site).read_bytes() == before


def test_one_more_service_adds_just_its_secrets(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    before = opened(site)["cairn_secrets"]
    describe_role(site.parent, "heat", {"databases": ["heat"]})
    assert make(tool, site) == ["database_heat"]
    after = opened(site)["cairn_secrets"]
    assert after.pop("database_heat")
    assert after == before


def test_what_the_operator_put_there_stays(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    content = opened(site)
    content["cairn_secrets"]["keystone_admin"] = "ünlikely: value #1\nwith a line\n"
    content["own_variable"] = {"a": 1}
    tool.write(secrets_file(site), tool.vault_of(site).encrypt(yaml.safe_dump(content)))
    describe_role(site.parent, "heat", {"queue": True})
    make(tool, site)
    after = opened(site)
    assert after["cairn_secrets"]["keystone_admin"] == "ünlikely: value #1\nwith a line\n"
    assert after["own_variable"] == {"a": 1}


@pytest.mark.parametrize(
    ("name", "locked"),
    [
        ("group_vars/all/passwords.yml", True),
        ("group_vars/all/a.yml", True),  # before secrets.yml in the alphabet
        ("group_vars/all/vault/site.yml", True),
        ("group_vars/controller.yml", True),
        ("host_vars/c1.yml", False),
        ("hosts.yml", False),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_secrets_in_another_file_are_not_made_a_second_time(
    tool: ModuleType, site: Path, name: str, locked: bool, beside: bool
) -> None:
    """Of two files with cairn_secrets one is in force: its values, the CA too, would be others."""
    made = secrets.complete(secrets.required({"glance": GLANCE}, PLANES), {})
    vault, content = tool.vault_of(site), {"cairn_secrets": made}
    text, other, path = tool.text_of(content), site / name, secrets_file(site)
    other.parent.mkdir(parents=True, exist_ok=True)
    if name == "hosts.yml":
        other.write_text(yaml.safe_dump({"controller": {"hosts": {"c1": content}}}))
    else:
        other.write_bytes(vault.encrypt(text) if locked else text.encode())
    if beside:
        path.write_bytes(vault.encrypt(text))
    describe_role(site.parent, "heat", {"queue": True})
    before = path.read_bytes() if beside else None
    in_force = not beside or name in STRONGER
    if not in_force:
        assert make(tool, site) == ["queue_heat"]
        return
    with pytest.raises(secrets.SecretsError, match=rf"{name}: sets cairn_secrets.*move them"):
        make(tool, site)
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("value", ["00420042", "no", "0", "1.50", "2026-01-01", "0x1F", "1_0"])
def test_what_yaml_does_not_read_as_text_is_named_and_left(
    value: str, tool: ModuleType, site: Path
) -> None:
    make(tool, site)
    text = tool.vault_of(site).decrypt(secrets_file(site).read_bytes()).decode()
    changed = re.sub(r"keystone_admin: .*", f"keystone_admin: {value}", text)
    secrets_file(site).write_bytes(tool.vault_of(site).encrypt(changed))
    before = secrets_file(site).read_bytes()
    describe_role(site.parent, "heat", {"queue": True})
    with pytest.raises(secrets.SecretsError, match=r"keystone_admin: YAML reads a .*in quotes"):
        make(tool, site)
    assert secrets_file(site).read_bytes() == before


def test_values_stand_in_quotes_that_keep_whatever_replaces_them(
    tool: ModuleType, site: Path
) -> None:
    make(tool, site)
    text = tool.vault_of(site).decrypt(secrets_file(site).read_bytes()).decode()
    lines = [line for line in text.splitlines() if re.match(r"  [a-z_]+: ", line)]
    plain = [line for line in lines if not line.endswith("|")]
    assert len(plain) > 5
    assert all(re.fullmatch(r"  [a-z_]+: '[A-Za-z0-9]+'", line) for line in plain)
    changed = re.sub(r"keystone_admin: '.*'", "keystone_admin: '00420042'", text)
    secrets_file(site).write_bytes(tool.vault_of(site).encrypt(changed))
    describe_role(site.parent, "heat", {"queue": True})
    make(tool, site)
    assert opened(site)["cairn_secrets"]["keystone_admin"] == "00420042"


def test_a_wrong_password_is_an_error_and_changes_nothing(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    before = secrets_file(site).read_bytes()
    (site / ".vault-password").write_text("not it\n")
    describe_role(site.parent, "heat", {"queue": True})
    with pytest.raises(secrets.SecretsError, match="does not open it; nothing was changed"):
        make(tool, site)
    assert secrets_file(site).read_bytes() == before


def test_a_lost_password_is_not_made_again(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    (site / ".vault-password").unlink()
    with pytest.raises(secrets.SecretsError, match="no vault password"):
        make(tool, site)
    assert not (site / ".vault-password").exists()


def test_an_interrupted_write_leaves_the_old_file(
    tool: ModuleType, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tool, site)
    before = secrets_file(site).read_bytes()
    describe_role(site.parent, "heat", {"queue": True})

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tool.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(tool, site)
    assert secrets_file(site).read_bytes() == before
    assert sorted(path.name for path in secrets_file(site).parent.iterdir()) == [
        "planes.yml",
        "secrets.yml",
    ]


TEXT = yaml.safe_dump({"cairn_planes": PLANES})
INI = (
    "[controller]\nc1\n[controller:vars]\n"
    'cairn_planes={"management": {"vip": "198.18.0.10"}, "storage": {}}\n'
)
PLACES = {
    "hosts.yml": yaml.safe_dump(
        {"controller": {"hosts": {"c1": {}}, "vars": {"cairn_planes": PLANES}}}
    ),
    "hosts": INI,
    "group_vars/all/planes.yaml": TEXT,
    "group_vars/all/planes.json": json.dumps({"cairn_planes": PLANES}),
    "group_vars/all/planes": TEXT,
    "group_vars/all/net/planes.yml": TEXT,
    "group_vars/all.yml": TEXT,
    "group_vars/all.json": json.dumps({"cairn_planes": PLANES}),
    "group_vars/all": TEXT,
    "group_vars/controller.yml": TEXT,
    "host_vars/c1/planes.yml": TEXT,
    "group_vars/all/x.yml": 'cairn_planes: "{{ ours }}"\nours: ' + json.dumps(PLANES) + "\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_planes_are_found_where_ansible_finds_them(
    tool: ModuleType, site: Path, place: str
) -> None:
    shutil.rmtree(site / "group_vars")
    if place == "hosts":
        (site / "hosts.yml").unlink()
    (site / place).parent.mkdir(parents=True, exist_ok=True)
    (site / place).write_text(PLACES[place])
    assert "keepalived_management" in make(tool, site)
    assert opened(site)["cairn_secrets"]["keepalived_management"]


@pytest.mark.parametrize("name", ["all.yml", "all.json", "all"])
def test_ansible_still_reads_a_file_that_had_no_folder_beside_it(
    tool: ModuleType, site: Path, name: str, root: Path
) -> None:
    shutil.rmtree(site / "group_vars/all")
    (site / "group_vars" / name).write_text(PLACES[f"group_vars/{name}"])
    make(tool, site)
    assert sorted(path.name for path in secrets_file(site).parent.iterdir()) == [
        *sorted([name, "secrets.yml"])
    ]
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(site), "--list"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    variables = json.loads(listed)["_meta"]["hostvars"]["c1"]
    assert variables["cairn_planes"] == PLANES
    assert "keystone_admin" in variables["cairn_secrets"]


@pytest.mark.parametrize("whole", [True, False])
def test_other_files_may_be_encrypted_too(tool: ModuleType, site: Path, whole: bool) -> None:
    """A whole file and a single value, that sorts before the one with the planes."""
    (site / ".vault-password").write_text("word\n")
    vault = VaultLib([("default", VaultSecret(b"word"))])
    text = vault.encrypt("pki_public_key: x\n" if whole else "x").decode()
    if not whole:
        text = "pki_public_key: !vault |\n" + "".join(f"  {x}\n" for x in text.splitlines())
    (site / "group_vars/all/certs.yml").write_text(text)
    assert "keepalived_management" in make(tool, site)
    (site / ".vault-password").unlink()
    secrets_file(site).unlink()
    # A new password would not open what is there.
    with pytest.raises(secrets.SecretsError, match=r"certs.yml is encrypted. Put the password"):
        make(tool, site)
    assert not (site / ".vault-password").exists()


def test_values_that_are_no_templates_stay_so(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    text = "cairn_secrets:\n  keystone_admin: !unsafe 'a{{b}}'\n"
    tool.write(secrets_file(site), tool.vault_of(site).encrypt(text))
    certificate_and_key = make(tool, site)
    assert "ca_key" in certificate_and_key
    written = tool.vault_of(site).decrypt(secrets_file(site).read_bytes()).decode()
    assert "keystone_admin: !unsafe 'a{{b}}'" in written


def test_the_error_on_a_file_that_is_no_yaml_lacks_its_content(
    tool: ModuleType, site: Path
) -> None:
    make(tool, site)
    text = "cairn_secrets:\n  keystone_admin: !vault hidden\n"
    tool.write(secrets_file(site), tool.vault_of(site).encrypt(text))
    with pytest.raises(secrets.SecretsError, match=r"line 2: .*make edit-secrets") as caught:
        make(tool, site)
    assert "hidden" not in str(caught.value)


def test_a_plain_text_file_is_refused(tool: ModuleType, site: Path) -> None:
    make(tool, site)
    secrets_file(site).write_text("cairn_secrets: {}\n")
    with pytest.raises(secrets.SecretsError, match="is not encrypted"):
        make(tool, site)


def test_a_folder_that_is_not_there_is_named(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, root / "tools/site_secrets.py", tmp_path / "no site"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = f"error: {tmp_path}/no site: there is no such folder: cp -r inventories/example"
    assert done.stderr.startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_no_inventory_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(secrets.SecretsError, match="is it an inventory"):
        make(tool, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_names_and_never_values(site: Path, root: Path) -> None:
    command = [sys.executable, str(root / "tools/site_secrets.py"), str(site)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "keystone_admin" in result.stdout
    for value in opened(site)["cairn_secrets"].values():
        assert value not in result.stdout + result.stderr


@pytest.mark.parametrize("new", [True, False])
def test_hard_characters_for_the_lab_survive_their_file(
    new: bool, tool: ModuleType, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tool, site)
    before = opened(site)["cairn_secrets"]
    monkeypatch.setattr(characters, "tool", lambda: tool)
    monkeypatch.setattr(sys, "argv", ["characters", str(site), *(["--new"] if new else [])])
    characters.main()
    describe_role(site.parent, "heat", {"queue": True})
    assert make(tool, site) == ["queue_heat"]
    text = tool.vault_of(site).decrypt(secrets_file(site).read_bytes()).decode()
    after = yaml.load(text, tool.Loader)["cairn_secrets"]  # noqa: S506 - a safe one
    assert secrets.problems(after) == {}
    kept = {name for name in before if after[name] == before[name]}
    assert {"ca_certificate", "ca_key"} <= kept
    assert kept - set(characters.ONCE) <= {"keepalived_management"}
    assert ("erlang_cookie" in kept) is not new
    assert after["keystone_admin"] == "0042004200420042"
    assert len({value for name, value in after.items() if not name.startswith("ca_")}) > 5


def test_hard_characters_are_plain_text_to_ansible() -> None:
    made = characters.hard({f"service_x{n}": "a" * 32 for n in range(40)}, ())
    for tail in characters.TAILS:
        assert any(value.endswith(tail) for value in made.values()), tail
    assert secrets.problems(made) == {}
