"""Every service's users, virtual hosts, permissions and policies on this host's RabbitMQ.

Each user has its own virtual host, whose queues are quorum queues, and permissions in others only
as granted. The user `guest` is removed; other unlisted users are left alone.

Starting `rabbitmqctl` takes seconds, so the node evaluates one expression that exports all its
definitions, and a second one that applies all changes.
"""

from __future__ import annotations

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

from .. import errors, system

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
    """A password's hash as RabbitMQ stores it (its documentation of credentials and passwords)."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def is_password(password: str, user: dict[str, Any]) -> bool:
    """Whether an exported user has this password, hashed by ALGORITHM."""
    if user.get("hashing_algorithm") != ALGORITHM:
        return False
    salt = base64.b64decode(user.get("password_hash", ""))[:SALT]
    return secrets.compare_digest(hashed(password, salt), user["password_hash"])


def plan(queues: list[dict[str, Any]], have: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The changes, as sentences and as data for APPLY.

    `queues` as in `declare`; `have` is the result of `export`.
    """
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
    """Permissions by user and virtual host: a pattern for each verb. `queues` as in `declare`."""
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
    """Evaluate expressions on the node by the command `ask`, as in `declare`.

    QueueError unless the last one returns `ok`.
    """
    if ask[0] == "rabbitmqctl":
        done = system.run([*ask, "--quiet", "eval", erlang], timeout=300)
    else:
        # The cookie is in the account's home.
        done = system.run([*ask, "-e"], stdin=erlang, user=ACCOUNT, timeout=300)
    if done.returncode or done.stdout.strip() not in ("ok", "{ok, ok}"):
        output = (done.stderr.strip() or done.stdout.strip())[:500]
        raise QueueError(f"RabbitMQ refused the expression of {ask[0]}: {output}")


def export(ask: list[str]) -> dict[str, Any]:
    """The node's definitions, as RabbitMQ exports them; `ask` as in `declare`."""
    with exchange() as path:
        evaluate(EXPORT % {"path": path}, ask)
        return dict(json.loads(path.read_text()))


def apply(changes: dict[str, Any], ask: list[str]) -> None:
    """Apply `changes`, data of `plan`, on the node; `ask` as in `declare`.

    They go through a file that only RabbitMQ can read. QueueError if the node refuses.
    """
    with exchange(json.dumps(changes)) as path:
        evaluate(APPLY % {"path": path}, ask)


def declare(queues: list[dict[str, Any]], ask: list[str], check_mode: bool) -> list[str]:
    """Create and change what differs on the node; returns the changes as sentences.

    `queues`: user, vhost and password of each, perhaps `grants` (vhost, configure, write, read) in
    other virtual hosts and `policies` (name, pattern, definition) of its own. `ask` is the command
    that evaluates Erlang: `rabbitmqctl`, or `erl_call` with the node's name. In check mode nothing
    changes. QueueError if the node refuses or does not answer.
    """
    words, changes = plan(queues, export(ask))
    if words and not check_mode:
        apply(changes, ask)
    return words
