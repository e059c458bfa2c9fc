"""A service's first schema migration, which a power cut may interrupt.

Tables are created outside a transaction, and migrations fail if a table already exists. Before the
first migration an empty database therefore gets a marker table, which is dropped when the
migrations have finished, before the switch. No service has used a database that still has the
marker: its tables are dropped before the migrations run again.
"""

from __future__ import annotations

from collections.abc import Collection

from .mariadb import quoted, sql

MARK = "cairn_first_schema"
COMMENT = "Cairn: no service uses this database yet; an interrupted first migration starts again"


def tables(databases: Collection[str]) -> dict[str, list[str]]:
    """The tables of each database."""
    names = ", ".join(map(quoted, databases))
    rows = sql(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "  # noqa: S608 - quoted
        f"WHERE TABLE_SCHEMA IN ({names}) ORDER BY TABLE_SCHEMA, TABLE_NAME;"
    )
    by_database: dict[str, list[str]] = {name: [] for name in databases}
    for row in rows:
        database, table = row.split("\t")
        by_database[database].append(table)
    return by_database


def mark(databases: Collection[str]) -> tuple[list[str], list[str]]:
    """Mark empty databases and empty marked ones; returns the marked and the emptied databases."""
    if not databases:
        return [], []
    marked, emptied, statements = [], [], []
    for database, present in tables(databases).items():
        rest = [table for table in present if table != MARK]
        if not present:
            statements.append(
                f"CREATE TABLE `{database}`.`{MARK}` (id INT PRIMARY KEY) "
                f"COMMENT = {quoted(COMMENT)};"
            )
        elif MARK not in present:
            continue
        elif rest:
            doomed = ", ".join(f"`{database}`.`{table}`" for table in rest)
            # Foreign keys may refer to any other table.
            statements.append(f"SET foreign_key_checks = 0; DROP TABLE {doomed};")
            emptied.append(database)
        marked.append(database)
    if statements:
        sql("\n".join(statements))
    return marked, emptied


def unmark(marked: Collection[str]) -> None:
    """Drop the marker tables: from now on the databases are in use."""
    if marked:
        sql("\n".join(f"DROP TABLE `{database}`.`{MARK}`;" for database in marked))
