"""Write the secrets of an inventory: `site_secrets.py inventories/<site>`, or `make secrets`.

Makes `<inventory>/group_vars/all/secrets.yml`, encrypted whole by ansible-vault, or adds to it what
it lacks. What is there keeps its value, and a file that lacks nothing is not written at all.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets as random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.plugins.loader import init_plugin_loader

from cairn import PROJECT
from cairn.errors import CairnError
from cairn.service.registry import descriptions
from cairn.site.inventories import Inventory, password_file, password_of
from cairn.site.planes import GROUPS
from cairn.site.secrets import SecretsError, complete, missing, not_text, required

HEADER = "---\n# Made by `make secrets`. Values may be changed with `make edit-secrets`.\n"
EDIT = "make edit-secrets INVENTORY=…"
DOCS = "see docs/manage-secrets.md"


@contextlib.contextmanager
def reading(inventory: Path) -> Iterator[None]:
    """Turn errors of Ansible's about an inventory into SecretsError."""
    try:
        yield
    except AnsibleError as error:
        raise SecretsError(f"{inventory}: is it an inventory? Ansible says: {error}") from error


def hosts_of(known: Inventory) -> list[str]:
    """The hosts of a site; without any, localhost, which has the values for all."""
    return list(dict.fromkeys(h for g in GROUPS for h in known.groups.get(g, ()))) or ["localhost"]


def planes(known: Inventory, inventory: Path) -> dict[str, dict[str, Any]]:
    """Return cairn_planes of an inventory, as Ansible itself reads it: from any file, templated.

    Planes of hosts that differ are merged. SecretsError when there are no planes.
    """
    found: dict[str, dict[str, Any]] = {}
    for host in hosts_of(known):
        declared = known.variables(host).get("cairn_planes") or {}
        if not isinstance(declared, Mapping):
            raise SecretsError(f"{host}: cairn_planes is {declared!r}; it must be a mapping")
        for name, plane in declared.items():
            found.setdefault(str(name), {}).update(plane or {})
    if not found:
        raise SecretsError(f"{inventory}: no cairn_planes for any host: is it an inventory?")
    return found


def check_place(known: Inventory, path: Path) -> None:
    """Refuse a site whose secrets in force are in another file than `path`.

    New secrets in `path` would compete with them: the file later in the alphabet wins.
    """
    for host in hosts_of(known):
        place = known.place("cairn_secrets", host)
        if place and Path(place).resolve() != path.resolve():
            raise SecretsError(
                f"{place}: sets cairn_secrets, which make secrets keeps in {path} only: move "
                f"them there ({DOCS}); nothing was changed"
            )


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
    word = password_of(inventory)
    if not word:
        path, word = password_file(inventory), random.token_urlsafe(32)
        write(path, word + "\n")
        print(f"{path}: new vault password; keep a copy of it elsewhere")
    return VaultLib([("default", VaultSecret(word.encode()))])


def make_folder(inventory: Path) -> str:
    """Create the folder group_vars/all if it is missing; return what was moved into it, or "".

    Ansible ignores a file all.yml beside such a folder: the file is moved into it.
    """
    folder = inventory / "group_vars/all"
    if folder.is_dir():
        return ""
    found = [Path(p) for p in DataLoader().find_vars_files(str(folder.parent), "all")]
    if not found:
        folder.mkdir(parents=True)
        return ""
    (file,) = found
    new = folder.with_name(".all.new")
    new.mkdir(exist_ok=True)
    (new / file.name).unlink(missing_ok=True)
    (new / file.name).hardlink_to(file)
    if file == folder:
        file.unlink()
    new.rename(folder)
    if file != folder:
        file.unlink()
    return f"{file}: is now {folder / file.name}, since Ansible reads no file beside such a folder"


def read(path: Path, vault: VaultLib) -> dict[str, Any]:
    """Return the content of the secrets file, {} if there is none yet."""
    if not path.exists():
        return {}
    raw = path.read_bytes()
    if not raw.startswith(b"$ANSIBLE_VAULT;"):
        raise SecretsError(f"{path}: is not encrypted: `ansible-vault encrypt {path}` first")
    try:
        content = yaml.load(vault.decrypt(raw), Loader) or {}  # noqa: S506 - a safe one
    except AnsibleError as error:
        raise SecretsError(
            f"{path}: cannot be decrypted; the file is left as it was: {error}. {DOCS}"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SecretsError(
            f"{path}{where}: {getattr(error, 'problem', None) or 'is no YAML'}: "
            f"`{EDIT}`; a value needs no !vault of its own where the whole file is encrypted"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("cairn_secrets", {}), dict):
        raise SecretsError(f"{path}: cairn_secrets is not a mapping: `{EDIT}`")
    if wrong := not_text(content.get("cairn_secrets", {})):
        reasons = "; ".join(f"cairn_secrets.{name}: {why}" for name, why in wrong.items())
        raise SecretsError(f"{path}: {reasons}. Put it in quotes: `{EDIT}`; nothing was changed")
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


class Unsafe(str):
    """A value that Ansible does not take for a template (`!unsafe`)."""


class Loader(yaml.SafeLoader):
    """YAML of the secrets file, whose values may be marked `!unsafe`."""


class Quoted(str):
    """A value in quotes, so that nobody has to know what YAML takes for a number."""


class Dumper(yaml.SafeDumper):
    """YAML as a person would write it: PEM texts as blocks."""


def _text(
    dumper: yaml.SafeDumper,
    value: str,
    tag: str = "tag:yaml.org,2002:str",
    style: str | None = None,
) -> yaml.Node:
    return dumper.represent_scalar(tag, str(value), style="|" if "\n" in value else style)


def _unsafe(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Unsafe:
    return Unsafe(loader.construct_scalar(node))


Loader.add_constructor("!unsafe", _unsafe)
Dumper.add_representer(str, _text)
Dumper.add_representer(Unsafe, lambda dumper, value: _text(dumper, value, "!unsafe", "'"))
Dumper.add_representer(Quoted, lambda dumper, value: _text(dumper, value, style="'"))


def text_of(content: Mapping[str, Any]) -> str:
    """Return the text of the secrets file, with every secret in quotes."""
    quoted = {
        name: Quoted(value) if type(value) is str else value
        for name, value in content["cairn_secrets"].items()
    }
    shown = {**content, "cairn_secrets": quoted}
    return HEADER + yaml.dump(shown, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)


def make(inventory: Path, project: Path = PROJECT) -> list[str]:
    """Complete the secrets of `inventory`; return the names that were added."""
    path = inventory / "group_vars/all/secrets.yml"
    with reading(inventory):
        known = Inventory(inventory, password_of(inventory))
        wanted = required(descriptions(project), planes(known, inventory))
        check_place(known, path)
    vault = vault_of(inventory)
    content = read(path, vault)
    have = content.get("cairn_secrets", {})
    added = missing(wanted, have)
    if added:
        content["cairn_secrets"] = dict(sorted(complete(wanted, have).items()))
        if moved := make_folder(inventory):
            print(moved)
        write(path, vault.encrypt(text_of(content)))
    return added


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inventory", type=Path, help="directory of the inventory")
    inventory = parser.parse_args().inventory
    if inventory.is_file():
        inventory = inventory.parent
    if not inventory.is_dir():
        print(
            f"error: {inventory}: there is no such folder: cp -r inventories/example {inventory}"
            " makes one",
            file=sys.stderr,
        )
        return 1
    init_plugin_loader()
    try:
        added = make(inventory)
    except (SecretsError, CairnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    path = inventory / "group_vars/all/secrets.yml"
    print(f"{path}: " + (f"added {', '.join(added)}" if added else "complete, nothing added"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
