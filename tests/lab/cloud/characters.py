"""Give a site's secrets hard characters: `python -m tests.lab.cloud.characters inventories/lab`.

For the lab, before `make site` or between two runs: every value that may change keeps its random
letters and gets a tail of characters that have a meaning in files and programs. Values that
cannot change in a deployed cloud change with `--new` only.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from cairn.site.secrets import problems

ROOT = Path(__file__).resolve().parents[3]
TAILS = [
    "$a", "${x}$$", "%b%%", "%(c)s", "#d; e", "'f\"", '"g"', "@h:i/j?k=l&m;n", "\\o\\n", "{{ 1 }}",
    "{% p %}", "{# q #}", "ü日本🔑", "[r]=s,t", "|`id`$(id)", " end ", "!~^*<>+-",
]  # fmt: skip
FIXED = ("ca_certificate", "ca_key", "swift_hash_path_prefix", "swift_hash_path_suffix")
ONCE = (*FIXED, "heat_auth_encryption_key", "erlang_cookie")
NUMBERS = {
    "keystone_admin": "0042004200420042",
    "service_placement": "12345678901234567890",
    "queue_nova": "1e50000000000000",
}


def hard(values: dict[str, str], kept: tuple[str, ...]) -> dict[str, str]:
    """Return the secrets with other characters, except those that their readers do not accept."""
    made = dict(values)
    for number, name in enumerate(sorted(values)):
        if name in kept:
            continue
        letters = values[name][:20] if values[name].isalnum() else f"letters{number}"
        for shift in range(len(TAILS)):
            value = letters + TAILS[(number + shift) % len(TAILS)]
            if name == "heat_auth_encryption_key":
                value = value.rjust(32, "x")[-32:]
            if not problems({name: value}):
                made[name] = value
                break
    return made | {name: value for name, value in NUMBERS.items() if name in values}


def tool() -> ModuleType:
    """Return what `make secrets` works with."""
    spec = importlib.util.spec_from_file_location("site_secrets", ROOT / "tools/site_secrets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Change the file of an inventory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inventory", type=Path)
    parser.add_argument("--new", action="store_true", help="of a cloud that is not deployed yet")
    arguments = parser.parse_args()
    secrets = tool()
    path = arguments.inventory / "group_vars/all/secrets.yml"
    vault = secrets.vault_of(arguments.inventory)
    content = secrets.read(path, vault)
    before = content["cairn_secrets"]
    after = hard(before, FIXED if arguments.new else ONCE)
    content["cairn_secrets"] = {
        name: value if name.startswith("ca_") else secrets.Unsafe(value)
        for name, value in after.items()
    }
    secrets.write(path, vault.encrypt(secrets.text_of(content)))
    changed = sorted(name for name in after if after[name] != before[name])
    sys.stdout.write(f"{path}: {len(changed)} of {len(after)} changed: {', '.join(changed)}\n")


if __name__ == "__main__":
    main()
