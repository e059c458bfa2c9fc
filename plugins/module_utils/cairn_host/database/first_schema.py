"""The first making of a service's tables, which a power cut may leave half-done.

Tables are made without a transaction, and services' migrations fail at one that is there already.
So a database that is empty before its first migration gets a mark, a table of its own, which is
taken away when the migrations have ended: before the service is switched to. What is in a database
that has the mark nobody has ever used; it goes before the migrations begin anew.
"""

from __future__ import annotations

from collections.abc import Collection

from .mariadb import quoted, sql

MARK = "cairn_first_schema"
COMMENT = "Cairn: no service uses this database yet, and an unfinished first migration begins anew"


def tables(databases: Collection[str]) -> dict[str, list[str]]:
    """The tables of each database."""
    names = ", ".join(map(quoted, databases))
    rows = sql(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "  # noqa: S608 - quoted
        f"WHERE TABLE_SCHEMA IN ({names}) ORDER BY TABLE_SCHEMA, TABLE_NAME;"
    )
    found: dict[str, list[str]] = {name: [] for name in databases}
    for row in rows:
        database, table = row.split("\t")
        found[database].append(table)
    return found


def begin(databases: Collection[str]) -> tuple[list[str], list[str]]:
    """Mark what is empty, and empty what has the mark; the marked ones, and those emptied."""
    if not databases:
        return [], []
    marked, emptied, statements = [], [], []
    for database, found in tables(databases).items():
        rest = [table for table in found if table != MARK]
        if not found:
            statements.append(
                f"CREATE TABLE `{database}`.`{MARK}` (id INT PRIMARY KEY) "
                f"COMMENT = {quoted(COMMENT)};"
            )
        elif MARK not in found:
            continue
        elif rest:
            doomed = ", ".join(f"`{database}`.`{table}`" for table in rest)
            # Tables refer to one another in every order.
            statements.append(f"SET foreign_key_checks = 0; DROP TABLE {doomed};")
            emptied.append(database)
        marked.append(database)
    if statements:
        sql("\n".join(statements))
    return marked, emptied


def end(marked: Collection[str]) -> None:
    """Take the marks away: from now on the databases are in use."""
    if marked:
        sql("\n".join(f"DROP TABLE `{database}`.`{MARK}`;" for database in marked))
