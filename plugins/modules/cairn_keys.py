#!/usr/bin/python
"""Module: keystone's key repositories on one controller."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: cairn_keys
short_description: Reads keystone's key repositories, or makes them what they should be
description:
  - A repository is a folder of files named by numbers. The highest is the primary key, which
    encrypts; 0 is the staged one, which becomes primary at the next rotation.
  - Use C(no_log) on the task that reads, since the result holds the keys.
options:
  repositories:
    description: Folders of the repositories; they exist already.
    type: list
    elements: str
    required: true
  keys:
    description: Folder to number to key; whatever else is in these folders goes.
    type: dict
  generate:
    description: Whether a repository without keys, in O(keys) and on the host, gets new ones.
    type: bool
    default: false
  owner:
    description: Who owns the files, alone; needed with O(keys) or O(generate).
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
    """The keys of a repository by number; empty where the folder is not there yet."""
    if not folder.is_dir():
        return {}
    return {p.name: p.read_text() for p in sorted(folder.iterdir()) if p.name.isdigit()}


def new_key() -> str:
    """A Fernet key: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def write(folder: Path, keys: dict[str, str], owner: str) -> None:
    """Make the folder hold exactly these keys; a reader finds a primary key at every moment."""
    for number, key in sorted(keys.items(), key=lambda pair: int(pair[0])):
        draft = folder / f".{number}"
        draft.write_text("")
        draft.chmod(0o600)
        shutil.chown(draft, owner, owner)
        draft.write_text(key)
        draft.replace(folder / number)
    for number in set(read(folder)) - set(keys):
        (folder / number).unlink()


def main() -> None:
    """Read the repositories; where asked, make them what they should be."""
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
    asked = module.params
    changed = []
    result = {}
    for path in asked["repositories"]:
        folder = Path(path)
        known = result[path] = read(folder)
        wanted = (asked["keys"] or {}).get(path) or known
        if not wanted and asked["generate"]:
            wanted = {"0": new_key(), "1": new_key()}
        if wanted != known:
            changed.append(path)
            if not module.check_mode:
                write(folder, wanted, asked["owner"])
                result[path] = wanted
    module.exit_json(changed=bool(changed), changed_repositories=changed, repositories=result)


if __name__ == "__main__":
    main()
