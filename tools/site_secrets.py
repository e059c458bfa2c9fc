"""Write the secrets of an inventory: `site_secrets.py inventories/<site>`, or `make secrets`.

Makes `<inventory>/group_vars/all/secrets.yml`, encrypted whole by ansible-vault, or adds to it what
it lacks. What is there keeps its value, and a file that lacks nothing is not written at all.
"""

from __future__ import annotations

import argparse
import os
import secrets as random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "plugins/module_utils"))

from cairn.secrets import SecretsError, complete, missing, required  # noqa: E402

HEADER = "---\n# Made by `make secrets`. Values may be changed with `ansible-vault edit`.\n"
DOCS = "see docs/secrets.md"


def services(roles: Path) -> dict[str, dict[str, Any]]:
    """Return {role: service description} of every role under `roles`, without templating."""
    found = {}
    for path in sorted(roles.glob("*/vars/main.yml")):
        role = path.parent.parent.name
        description = load(path).get(f"{role}_service")
        if isinstance(description, dict):
            found[role] = description
    return found


def planes(inventory: Path) -> dict[str, dict[str, Any]]:
    """Return cairn_planes of an inventory directory, from its group_vars/all."""
    variables = inventory / "group_vars"
    # Ansible itself reads only these endings, and no file that begins with a dot.
    paths = [variables / f"all{ending}" for ending in (".yml", ".yaml")]
    paths += sorted((variables / "all").glob("[!.]*.y*ml"))
    for path in paths:
        if path.is_file() and path.name != "secrets.yml":
            declared = load(path).get("cairn_planes")
            if declared:
                return dict(declared)
    raise SecretsError(f"{variables}: no cairn_planes in all.yml or all/*.yml: is it an inventory?")


def load(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; SecretsError names the file when it holds none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise SecretsError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise SecretsError(f"{path}: holds no mapping")
    return content


def vault_of(inventory: Path) -> VaultLib:
    """Return the vault that opens the inventory's secrets; a new site gets a new password."""
    elsewhere = os.environ.get("CAIRN_VAULT_PASSWORD_FILE")
    path = Path(elsewhere) if elsewhere else inventory / ".vault-password"
    if not path.exists() and not (inventory / "group_vars/all/secrets.yml").exists():
        write(path, random.token_urlsafe(32) + "\n")
        print(f"{path}: new vault password; keep a copy of it elsewhere")
    answer = subprocess.run(
        [ROOT / "tools/vault-password", "-i", inventory.resolve()], capture_output=True, text=True
    )
    if answer.returncode:
        raise SecretsError(answer.stderr.strip().removeprefix("error: "))
    return VaultLib([("default", VaultSecret(answer.stdout.strip().encode()))])


def read(path: Path, vault: VaultLib) -> dict[str, Any]:
    """Return the content of the secrets file, {} if there is none yet."""
    if not path.exists():
        return {}
    raw = path.read_bytes()
    if not raw.startswith(b"$ANSIBLE_VAULT;"):
        raise SecretsError(f"{path}: is not encrypted: `ansible-vault encrypt {path}` first")
    try:
        content = yaml.safe_load(vault.decrypt(raw)) or {}
    except AnsibleError as error:
        raise SecretsError(
            f"{path}: cannot be decrypted; the file is left as it was: {error}. {DOCS}"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("cairn_secrets", {}), dict):
        raise SecretsError(f"{path}: cairn_secrets is not a mapping: `ansible-vault edit {path}`")
    return content


def write(path: Path, content: str | bytes) -> None:
    """Put `content` at `path` at once or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


class Dumper(yaml.SafeDumper):
    """YAML as a person would write it: PEM texts as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    )


Dumper.add_representer(str, _text)


def make(inventory: Path, roles: Path) -> list[str]:
    """Complete the secrets of `inventory`; return the names that were added."""
    wanted = required(services(roles), planes(inventory))
    path = inventory / "group_vars/all/secrets.yml"
    vault = vault_of(inventory)
    content = read(path, vault)
    have = content.get("cairn_secrets", {})
    added = missing(wanted, have)
    if added:
        content["cairn_secrets"] = dict(sorted(complete(wanted, have).items()))
        text = HEADER + yaml.dump(content, Dumper=Dumper, sort_keys=False, width=1000)
        write(path, vault.encrypt(text))
    return added


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inventory", type=Path, help="directory of the inventory")
    inventory = parser.parse_args().inventory
    try:
        added = make(inventory, ROOT / "roles")
    except (SecretsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    path = inventory / "group_vars/all/secrets.yml"
    print(f"{path}: " + (f"added {', '.join(added)}" if added else "complete, nothing added"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
