#!/usr/bin/python
"""Module: a file or a link of root's making in a folder that a service's user may write to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

DOCUMENTATION = r"""
module: cairn_file
short_description: Has a file or a link in a folder that others than root may write to
description:
  - Use it instead of C(copy) and C(file) wherever root writes into a folder of a service's user.
    Those follow symbolic links on the way, so that such a user could have root write elsewhere.
  - Here nothing is followed below such a folder. What is in the file's own place is replaced.
options:
  path:
    description: The file.
    type: path
    required: true
  content:
    description: What it holds.
    type: str
  target:
    description: Where it leads to, for a symbolic link.
    type: path
  owner:
    description: Who owns the file.
    type: str
    default: root
  group:
    description: Which group the file has.
    type: str
    default: root
  mode:
    description: The file's mode, octal.
    type: str
    default: "0644"
  replace:
    description: Whether a file that is there already is replaced, where it is another.
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


def found(path: Path) -> dict[str, Any]:
    """What is in the place: `kind` (file, link, other or none), and its content or target."""
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


def wanted(asked: dict[str, Any], check: bool) -> dict[str, Any]:
    """What is to be in the place, as `found` tells it."""
    if asked["target"] is not None:
        return {"kind": "link", "target": asked["target"]}
    file = {"kind": "file", "content": asked["content"], "mode": int(asked["mode"], 8)}
    try:
        return file | {"ids": files.identity(asked["owner"], asked["group"])}
    except errors.HostError:
        if check:  # the account is made by the run itself
            return file
        raise


def keep(asked: dict[str, Any], check: bool) -> dict[str, Any]:
    """Have it so; the module's result."""
    path = Path(asked["path"])
    before, after = found(path), wanted(asked, check)
    same = before["kind"] != "none" and not asked["replace"]
    changed = not same and any(before.get(key) != value for key, value in after.items())
    if changed and not check:
        if after["kind"] == "link":
            files.link_atomic(path, Path(after["target"]))
        else:
            content = after["content"].encode()
            files.write_atomic(path, content, after["mode"], asked["owner"], asked["group"])
    told = [str(what.get("content", what.get("target", ""))) for what in (before, after)]
    difference = {"before": told[0], "after": told[1] if changed else told[0]}
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
