#!/usr/bin/python
"""Module: keystone's key repositories on one controller."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, files

DOCUMENTATION = r"""
module: cairn_keys
short_description: Reads keystone's key repositories, or writes them
description:
  - A repository is a folder of files named by numbers. The highest is the primary key, which
    encrypts; 0 is the staged one, which becomes primary at the next rotation.
  - Use C(no_log) on the task that reads: the result contains the keys.
options:
  repositories:
    description: Folders of the repositories; they must exist.
    type: list
    elements: str
    required: true
  keys:
    description: Folder to number to key; other keys in these folders are removed.
    type: dict
  generate:
    description: Whether a repository without keys in O(keys) and on the host gets new ones.
    type: bool
    default: false
  owner:
    description: Owner and only reader of the files; required with O(keys) or O(generate).
    type: str
author: Cairn
"""

EXAMPLES = r"""
- name: Read the keys
  cairn_keys:
    repositories: [/var/lib/keystone/fernet-keys]
  register: keys
  no_log: true
"""

RETURN = r"""
repositories:
  description: Folder to number to key, as they are now.
  returned: success
  type: dict
"""


def read(folder: Path) -> dict[str, str]:
    """The keys of a repository by number; empty if the folder does not exist.

    HostError if a key is no regular file: keystone's user can write here, and root must not copy
    the target of such a link to other hosts.
    """
    keys = {}
    for name in sorted(files.names_in(folder)):
        if name.isdigit() and (content := files.read_file(folder / name)) is not None:
            keys[name] = content.decode()
    return keys


def new_key() -> str:
    """A Fernet key: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def write(folder: Path, keys: dict[str, str], owner: str) -> None:
    """Write exactly these keys; a reader finds a primary key at any time."""
    for number, key in sorted(keys.items(), key=lambda pair: int(pair[0])):
        files.write_atomic(folder / number, key.encode(), 0o600, owner, owner)
    for number in set(read(folder)) - set(keys):
        files.remove(folder / number)


def keep(asked: dict[str, Any], check: bool) -> dict[str, Any]:
    """Read the repositories, and write them if keys are given; returns the module's result."""
    changed = []
    result = {}
    for path in asked["repositories"]:
        folder = Path(path)
        present = result[path] = read(folder)
        keys = (asked["keys"] or {}).get(path) or present
        if not keys and asked["generate"]:
            keys = {"0": new_key(), "1": new_key()}
        if keys != present:
            changed.append(path)
            if not check:
                write(folder, keys, asked["owner"])
                result[path] = keys
    return {
        "changed": bool(changed),
        "changed_repositories": changed,
        "repositories": result,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "repositories": {"type": "list", "elements": "str", "required": True},
            "keys": {"type": "dict", "no_log": True},
            "generate": {"type": "bool", "default": False},
            "owner": {"type": "str"},
        },
        required_if=[("generate", True, ["owner"])],
        required_by={"keys": ["owner"]},
        supports_check_mode=True,
    )
    try:
        result = keep(module.params, module.check_mode)
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
