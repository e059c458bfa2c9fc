#!/usr/bin/python
"""Module: write a file or a link as root in a folder that a service's user can write to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

DOCUMENTATION = r"""
module: cairn_file
short_description: Writes a file or a link in a folder that users other than root can write to
description:
  - Use it instead of C(copy) and C(file) if root writes into a folder of a service's user. These
    follow symbolic links, so that such a user could redirect root's writes.
  - This module follows no link below such a folder. A link at the file's own path is replaced.
options:
  path:
    description: The file.
    type: path
    required: true
  content:
    description: The file's content.
    type: str
  target:
    description: The target, for a symbolic link.
    type: path
  owner:
    description: The file's owner.
    type: str
    default: root
  group:
    description: The file's group.
    type: str
    default: root
  mode:
    description: The file's mode, octal.
    type: str
    default: "0644"
  replace:
    description: Whether an existing file is replaced if it differs.
    type: bool
    default: true
author: [Cairn]
"""

EXAMPLES = r"""
- name: Restore the UUID of a rebuilt compute host
  cairn_file:
    path: /var/lib/nova/compute_id
    content: 6c1f0a3e-6f0c-4e6b-9d52-8f7f1a0c5c11
    owner: nova
    group: nova
    replace: false
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, files


def present(path: Path) -> dict[str, Any]:
    """The present state of `path`: `kind` (file, link, other or none), and content or target."""
    try:
        with files.folder_at(path.parent) as place:
            status = os.stat(path.name, dir_fd=place, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(path.name, dir_fd=place)
                return {"kind": "link", "target": target}
    except FileNotFoundError:
        return {"kind": "none"}
    if not stat.S_ISREG(status.st_mode):
        return {"kind": "other"}
    content = files.read_file(path) or b""
    return {
        "kind": "file",
        "content": content.decode(errors="replace"),
        "mode": stat.S_IMODE(status.st_mode),
        "ids": (status.st_uid, status.st_gid),
    }


def desired(asked: dict[str, Any], check: bool) -> dict[str, Any]:
    """The desired state, in the form of `present`."""
    if asked["target"] is not None:
        return {"kind": "link", "target": asked["target"]}
    file = {"kind": "file", "content": asked["content"], "mode": int(asked["mode"], 8)}
    try:
        return file | {"ids": files.identity(asked["owner"], asked["group"])}
    except errors.HostError:
        if check:  # the run itself would create the account
            return file
        raise


def keep(asked: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring the file into the desired state; returns the module's result."""
    path = Path(asked["path"])
    before, after = present(path), desired(asked, check)
    same = before["kind"] != "none" and not asked["replace"]
    changed = not same and any(before.get(key) != value for key, value in after.items())
    if changed and not check:
        if after["kind"] == "link":
            files.link_atomic(path, Path(after["target"]))
        else:
            content = after["content"].encode()
            files.write_atomic(path, content, after["mode"], asked["owner"], asked["group"])
    texts = [str(state.get("content", state.get("target", ""))) for state in (before, after)]
    difference = {"before": texts[0], "after": texts[1] if changed else texts[0]}
    headers = {"before_header": str(path), "after_header": str(path)}
    return {"changed": changed, "path": str(path), "diff": {**headers, **difference}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "target": {"type": "path"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0644"},
            "replace": {"type": "bool", "default": True},
        },
        required_one_of=[["content", "target"]],
        mutually_exclusive=[["content", "target"]],
        supports_check_mode=True,
    )
    try:
        result = keep(module.params, module.check_mode)
    except errors.HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
