#!/usr/bin/python
"""Module: every service's databases, users and grants, in one call on a MariaDB server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cairn_databases
short_description: Keeps databases, their users and grants
description:
  - Connects to the server on this host through its socket, as root. Changes only what differs.
  - A user can access only its listed databases, only from the given hosts, and only with TLS.
    Other databases and users are left alone; databases are never dropped.
  - As an action it takes no arguments; the data comes from the services' descriptions.
options:
  databases:
    description: Databases, each with its user.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: The database., type: str, required: true}
      user: {description: The user with access., type: str, required: true}
      password: {description: The user's password., type: str, required: true}
      hosts:
        description: Hosts from which the user connects, such as 192.0.2.0/255.255.255.0.
        type: list
        elements: str
        required: true
  record:
    description: Value of the record that is written on success; the next run then skips the call.
    type: str
author: [Cairn]
"""

EXAMPLES = r"""
- name: Create databases, users and grants of all services
  cairn_databases:
"""

RETURN = r"""
changes:
  description: What was or would be done, as sentences.
  type: list
  returned: always
"""

import hashlib
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host import reconcile
from ansible.module_utils.cairn_host.database.mariadb import DatabaseError, masked, quoted, sql

Change = tuple[str, str]  # in words, and in SQL
NAME = re.compile(r"[A-Za-z0-9_]+")
GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\S+) TO \S+(?P<how>.*)")


def account(user: str, host: str) -> str:
    """A user and host pattern in SQL."""
    return f"{quoted(user)}@{quoted(host)}"


def password_hash(password: str) -> str:
    """A password's hash as the server stores it (mysql_native_password)."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def schema_pattern(name: str) -> str:
    """A database's pattern in a grant, with _ escaped, which would match any character."""
    return "`" + name.replace("_", "\\_") + "`.*"


def read(users: set[str]) -> tuple[set[str], dict[tuple[str, str], list[str]]]:
    """The server's databases, and the grants of each account of these users."""
    rows = sql(
        "SELECT 'database', SCHEMA_NAME, '' FROM information_schema.SCHEMATA;\n"
        "SELECT 'account', User, Host FROM mysql.global_priv;\n"
    )
    entries = [row.split("\t") for row in rows]
    grants: dict[tuple[str, str], list[str]] = {
        (name, host): [] for kind, name, host in entries if kind == "account" and name in users
    }
    statements = [
        f"SELECT {quoted(f'account {i}')}; SHOW GRANTS FOR {account(*who)};"
        for i, who in enumerate(grants)
    ]
    accounts = iter(list(grants))
    lines: list[str] = []
    for line in sql("\n".join(statements)) if statements else []:
        if line.startswith("account "):
            lines = grants[next(accounts)]
        else:
            lines.append(line)
    return {name for kind, name, _host in entries if kind == "database"}, grants


def wanted_accounts(databases: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Each account's password hash and databases. DatabaseError for an invalid name."""
    accounts: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in databases:
        for what in ("name", "user"):
            if not NAME.fullmatch(entry[what]):
                raise DatabaseError(f"{entry[what]!r} is no {what}: use letters, digits and _")
        for host in entry["hosts"]:
            new = {"hash": password_hash(entry["password"]), "databases": set()}
            accounts.setdefault((entry["user"], host), new)["databases"].add(entry["name"])
    return accounts


def plan_account(
    who: tuple[str, str], wanted: dict[str, Any], grants: list[str] | None
) -> list[Change]:
    """The changes of one account; `grants` are the server's, None if the account is missing."""
    name = account(*who)
    shown = f"user {who[0]} from {who[1]}"
    login = f"IDENTIFIED VIA mysql_native_password USING {quoted(wanted['hash'])} REQUIRE SSL"
    changes: list[Change] = []
    own = {schema_pattern(database) for database in wanted["databases"]}
    have: set[str] = set()
    if grants is None:
        changes.append((f"{shown}: create", f"CREATE USER {name} {login};"))
    for line in grants or []:
        match = GRANT.fullmatch(line)
        if not match:
            raise DatabaseError(f"{shown}: cannot read the grant {masked(line)!r}")
        what, where, how = match["what"], match["where"], match["how"]
        if where == "*.*":
            expected = f" IDENTIFIED BY PASSWORD {quoted(wanted['hash'])} REQUIRE SSL"
            if what != "USAGE":
                revoke = f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {name};"
                bare = f"GRANT USAGE ON *.* TO x{how.removesuffix(' WITH GRANT OPTION')}"
                rest = plan_account(who, wanted, [bare])
                return [(f"{shown}: revoke everything", revoke), *rest]
            if how != expected:
                changes.append((f"{shown}: password and TLS", f"ALTER USER {name} {login};"))
        elif where in own:
            if how:
                revoke = f"REVOKE GRANT OPTION ON {where} FROM {name};"
                changes.append((f"{shown}: revoke the grant option on {where}", revoke))
            if what == "ALL PRIVILEGES":
                have.add(where)
        else:
            revoke = f"REVOKE ALL PRIVILEGES ON {where} FROM {name};"
            if how:
                revoke = f"REVOKE GRANT OPTION ON {where} FROM {name}; {revoke}"
            changes.append((f"{shown}: revoke privileges on {where}", revoke))
    for database in sorted(wanted["databases"]):
        pattern = schema_pattern(database)
        if pattern not in have:
            grant = f"GRANT ALL PRIVILEGES ON {pattern} TO {name};"
            changes.append((f"{shown}: grant database {database}", grant))
    return changes


def plan(
    databases: list[dict[str, Any]],
    present: set[str],
    grants: dict[tuple[str, str], list[str]],
) -> list[Change]:
    """All changes, in order."""
    changes: list[Change] = [
        (f"database {name}: create", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4;")
        for name in sorted({entry["name"] for entry in databases} - present)
    ]
    accounts = wanted_accounts(databases)
    for who, wanted in accounts.items():
        changes += plan_account(who, wanted, grants.get(who))
    for user, host in sorted(set(grants) - set(accounts)):
        drop = f"DROP USER {account(user, host)};"
        changes.append((f"user {user} from {host}: remove, the host is not listed", drop))
    return changes


def work(asked: dict[str, Any], check_mode: bool) -> list[str]:
    """Compare, and change what differs; the changes as sentences."""
    present, grants = read({entry["user"] for entry in asked["databases"]})
    changes = plan(asked["databases"], present, grants)
    if changes and not check_mode:
        sql("\n".join(statement for _words, statement in changes))
    return [words for words, _statement in changes]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "databases": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "user": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "hosts": {"type": "list", "elements": "str", "required": True},
                },
            },
            "record": {"type": "str"},
        },
        supports_check_mode=True,
    )
    reconcile.keep(module, "databases", work)


if __name__ == "__main__":
    main()
