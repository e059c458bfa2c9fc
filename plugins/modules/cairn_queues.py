#!/usr/bin/python
"""Module: queue users and virtual hosts of all services, in one call on a RabbitMQ node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_queues
short_description: Keep RabbitMQ's users, virtual hosts and permissions
description:
  - Each user gets its virtual host with all permissions, and elsewhere exactly the permissions in
    O(queues[].grants). New queues in its virtual host are quorum queues, and its policies are
    exactly those listed. The user C(guest) is removed; other unlisted users are left alone.
  - Starting C(rabbitmqctl) takes seconds, so it runs once to compare, and a second time only if
    something changes.
  - As an action it takes O(ask) alone; the rest comes from the services' descriptions.
options:
  queues:
    description: Users, each with its virtual host and password.
    type: list
    elements: dict
    required: true
    suboptions:
      user: {description: The user., type: str, required: true}
      vhost: {description: Its virtual host., type: str, required: true}
      password: {description: The user's password., type: str, required: true}
      grants:
        description: "Permissions in other virtual hosts: vhost, configure, write, read."
        type: list
        elements: dict
      policies:
        description: "Policies for queues of its virtual host: name, pattern, definition."
        type: list
        elements: dict
  record:
    description: Value of the record that is written on success; the next run then skips the call.
    type: str
  ask:
    description:
      - The command that evaluates Erlang on the node, C(rabbitmqctl), or C(erl_call) with
        C(-sname) or C(-name) and the node. C(erl_call) takes a tenth of the time, but does not
        support TLS.
    type: list
    elements: str
    default: [rabbitmqctl]
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create users and virtual hosts of all services
  cairn_queues:
    ask: [erl_call, -sname, rabbit@controller1]
"""

RETURN = r"""
changes:
  description: What was or would be done, as sentences.
  type: list
  returned: always
"""

import base64
import contextlib
import hashlib
import json
import os
import pwd
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import errors, reconcile, system

ALGORITHM = "rabbit_password_hashing_sha256"
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
SALT = 4  # bytes; fixed by the algorithm

ACCOUNT = "rabbitmq"
# Evaluated on the node. The printed form of a result depends on the command, so results go through
# files.
EXPORT = """
ok = file:write_file("%(path)s", rabbit_json:encode(rabbit_definitions:all_definitions())).
"""
# Returns when the definitions are imported; the command `import_definitions` returns earlier, and
# definitions cannot remove anything.
APPLY = """
{ok, Text} = file:read_file("%(path)s"),
{ok, Work} = rabbit_json:try_decode(Text),
[ok = rabbit_auth_backend_internal:delete_user(User, <<"cairn">>)
 || User <- maps:get(<<"delete_users">>, Work)],
[ok = rabbit_auth_backend_internal:clear_permissions(User, Vhost, <<"cairn">>)
 || [User, Vhost] <- maps:get(<<"clear_permissions">>, Work)],
[ok = rabbit_policy:delete(Vhost, Name, <<"cairn">>)
 || [Vhost, Name] <- maps:get(<<"delete_policies">>, Work)],
ok = rabbit_definitions:import_raw(rabbit_json:encode(maps:get(<<"import">>, Work))).
"""


class QueueError(errors.HostError):
    """The node refused the expression, or did not answer."""


def hashed(password: str, salt: bytes) -> str:
    """A password's hash as RabbitMQ stores it."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def is_password(password: str, user: dict[str, Any]) -> bool:
    """Whether an exported user has this password."""
    if user.get("hashing_algorithm") != ALGORITHM:
        return False
    salt = base64.b64decode(user.get("password_hash", ""))[:SALT]
    return secrets.compare_digest(hashed(password, salt), user["password_hash"])


def plan(queues: list[dict[str, Any]], have: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The changes, as sentences and as data for APPLY; `have` is the result of `export`."""
    words: list[str] = []
    users = {user["name"]: user for user in have.get("users", [])}
    vhosts = {vhost["name"]: vhost for vhost in have.get("vhosts", [])}
    granted = {(p["user"], p["vhost"]): p for p in have.get("permissions", [])}
    new: dict[str, list[dict[str, Any]]] = {
        kind: [] for kind in ("users", "vhosts", "permissions", "policies")
    }
    for queue in queues:
        name, vhost = queue["user"], queue["vhost"]
        if vhost not in vhosts:
            metadata = {"description": f"Cairn: {name}", "default_queue_type": "quorum"}
            new["vhosts"].append({"name": vhost, "metadata": metadata})
            words.append(f"virtual host {vhost}: create")
        if name not in users or not is_password(queue["password"], users[name]):
            salted = hashed(queue["password"], secrets.token_bytes(SALT))
            new["users"].append(
                {"name": name, "password_hash": salted, "hashing_algorithm": ALGORITHM, "tags": []}
            )
            words.append(f"user {name}: {'new password' if name in users else 'create'}")
    allowed = permissions(queues)
    for (name, vhost), patterns in allowed.items():
        now = granted.get((name, vhost), {})
        if any(now.get(verb) != pattern for verb, pattern in patterns.items()):
            new["permissions"].append({"user": name, "vhost": vhost, **patterns})
            words.append(f"user {name}: permissions in virtual host {vhost}")
    own = {queue["user"] for queue in queues}
    foreign = sorted([u, v] for u, v in granted if u in own and (u, v) not in allowed)
    words += [f"user {user}: no permissions in virtual host {vhost}" for user, vhost in foreign]
    ruled = {(p["vhost"], p["name"]): p for p in have.get("policies", [])}
    rules = policies(queues)
    for (vhost, name), rule in rules.items():
        now = ruled.get((vhost, name), {})
        if any(now.get(key) != value for key, value in rule.items()):
            new["policies"].append(rule)
            words.append(f"virtual host {vhost}: policy {name}")
    mine = {queue["vhost"] for queue in queues}
    outdated = sorted([v, n] for v, n in ruled if v in mine and (v, n) not in rules)
    words += [f"virtual host {vhost}: remove policy {name}" for vhost, name in outdated]
    delete = ["guest"] if "guest" in users else []
    words += [f"user {user}: remove" for user in delete]
    return words, {
        "delete_users": delete,
        "clear_permissions": foreign,
        "delete_policies": outdated,
        "import": new,
    }


def permissions(queues: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, str]]:
    """Permissions by user and virtual host."""
    allowed = {}
    for queue in queues:
        allowed[queue["user"], queue["vhost"]] = EVERYTHING
        for grant in queue.get("grants") or []:
            patterns = {verb: grant[verb] for verb in EVERYTHING}
            allowed[queue["user"], grant["vhost"]] = patterns
    return allowed


def policies(queues: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Policies in the form of RabbitMQ's definitions, by virtual host and name."""
    return {
        (queue["vhost"], rule["name"]): {
            "vhost": queue["vhost"],
            "name": rule["name"],
            "pattern": rule["pattern"],
            "apply-to": "queues",
            "definition": rule["definition"],
            "priority": 0,
        }
        for queue in queues
        for rule in queue.get("policies") or []
    }


@contextlib.contextmanager
def exchange(content: str = "") -> Iterator[Path]:
    """A temporary file that only RabbitMQ can read and write."""
    descriptor, name = tempfile.mkstemp(dir="/run", prefix="cairn-queues-")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(content)
            os.fchown(descriptor, pwd.getpwnam(ACCOUNT).pw_uid, -1)
        yield path
    finally:
        path.unlink()


def evaluate(erlang: str, ask: list[str]) -> None:
    """Evaluate expressions on the node; QueueError unless the last one returns `ok`."""
    if ask[0] == "rabbitmqctl":
        done = system.run([*ask, "--quiet", "eval", erlang], timeout=300)
    else:
        # The cookie is in the account's home.
        done = system.run([*ask, "-e"], stdin=erlang, user=ACCOUNT, timeout=300)
    if done.returncode or done.stdout.strip() not in ("ok", "{ok, ok}"):
        output = (done.stderr.strip() or done.stdout.strip())[:500]
        raise QueueError(f"RabbitMQ refused the expression of {ask[0]}: {output}")


def export(ask: list[str]) -> dict[str, Any]:
    """The node's definitions."""
    with exchange() as path:
        evaluate(EXPORT % {"path": path}, ask)
        return dict(json.loads(path.read_text()))


def apply(changes: dict[str, Any], ask: list[str]) -> None:
    """Apply the changes on the node, through a file that only RabbitMQ can read."""
    with exchange(json.dumps(changes)) as path:
        evaluate(APPLY % {"path": path}, ask)


def work(asked: dict[str, Any], check_mode: bool) -> list[str]:
    """Compare, and change what differs; returns the changes as sentences."""
    words, changes = plan(asked["queues"], export(asked["ask"]))
    if words and not check_mode:
        apply(changes, asked["ask"])
    return words


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "queues": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "user": {"type": "str", "required": True},
                    "vhost": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "grants": {"type": "list", "elements": "dict"},
                    "policies": {"type": "list", "elements": "dict"},
                },
            },
            "record": {"type": "str"},
            "ask": {"type": "list", "elements": "str", "default": ["rabbitmqctl"]},
        },
        supports_check_mode=True,
    )
    reconcile.keep(module, "queues", work)


if __name__ == "__main__":
    main()
