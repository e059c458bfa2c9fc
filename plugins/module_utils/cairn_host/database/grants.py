"""Every service's databases, users and grants on this host's MariaDB server.

A user can access only its listed databases, only from the given hosts, and only with TLS. Other
databases and users are left alone; databases are never dropped.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from .mariadb import DatabaseError, masked, quoted, sql

Change = tuple[str, str]  # in words, and in SQL
NAME = re.compile(r"[A-Za-z0-9_]+")
GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\S+) TO \S+(?P<how>.*)")


def account(user: str, host: str) -> str:
    """A user and host pattern in SQL."""
    return f"{quoted(user)}@{quoted(host)}"


def password_hash(password: str) -> str:
    """A password's hash as the server stores it.

    Twice SHA-1, as MariaDB documents for its plugin mysql_native_password.
    """
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def schema_pattern(name: str) -> str:
    """A database as GRANT names it, with `_` escaped.

    An unescaped `_` matches any character (MariaDB's documentation of GRANT).
    """
    return "`" + name.replace("_", "\\_") + "`.*"


def read(users: set[str]) -> tuple[set[str], dict[tuple[str, str], list[str]]]:
    """The server's databases, and the lines of SHOW GRANTS of each account of these users.

    An account is a user and a host pattern. Two calls of the client, however many users there are.
    DatabaseError if the server refuses.
    """
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


def declared_accounts(databases: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Each account's password hash and databases; an account is a user and a host pattern.

    `databases` as in `declare`. DatabaseError for an invalid name.
    """
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
    who: tuple[str, str], declared: dict[str, Any], grants: list[str] | None
) -> list[Change]:
    """The changes of the account `who`, a user and a host pattern.

    `declared` is its entry of `declared_accounts`; `grants` are its lines of SHOW GRANTS, None if
    the server lacks the account. If it has a privilege on `*.*`, everything is revoked and its
    databases are granted again. DatabaseError for a line that cannot be read.
    """
    name = account(*who)
    shown = f"user {who[0]} from {who[1]}"
    login = f"IDENTIFIED VIA mysql_native_password USING {quoted(declared['hash'])} REQUIRE SSL"
    changes: list[Change] = []
    own = {schema_pattern(database) for database in declared["databases"]}
    have: set[str] = set()
    if grants is None:
        changes.append((f"{shown}: create", f"CREATE USER {name} {login};"))
    for line in grants or []:
        match = GRANT.fullmatch(line)
        if not match:
            raise DatabaseError(f"{shown}: cannot read the grant {masked(line)!r}")
        what, where, how = match["what"], match["where"], match["how"]
        if where == "*.*":
            expected = f" IDENTIFIED BY PASSWORD {quoted(declared['hash'])} REQUIRE SSL"
            if what != "USAGE":
                revoke = f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {name};"
                bare = f"GRANT USAGE ON *.* TO x{how.removesuffix(' WITH GRANT OPTION')}"
                rest = plan_account(who, declared, [bare])
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
    for database in sorted(declared["databases"]):
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
    """All changes, in order; `present` and `grants` are the result of `read`.

    `databases` as in `declare`. DatabaseError for an invalid name or a grant that cannot be read.
    """
    changes: list[Change] = [
        (f"database {name}: create", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4;")
        for name in sorted({entry["name"] for entry in databases} - present)
    ]
    accounts = declared_accounts(databases)
    for who, declared in accounts.items():
        changes += plan_account(who, declared, grants.get(who))
    for user, host in sorted(set(grants) - set(accounts)):
        drop = f"DROP USER {account(user, host)};"
        changes.append((f"user {user} from {host}: remove, the host is not listed", drop))
    return changes


def declare(databases: list[dict[str, Any]], check_mode: bool) -> list[str]:
    """Create and change what differs on the server; returns the changes as sentences.

    `databases`: name, user, password and hosts of each. In check mode nothing changes.
    DatabaseError if the server refuses, a name is invalid, or a grant cannot be read.
    """
    present, grants = read({entry["user"] for entry in databases})
    changes = plan(databases, present, grants)
    if changes and not check_mode:
        sql("\n".join(statement for _words, statement in changes))
    return [words for words, _statement in changes]
