"""An interrupted first migration starts again, and databases in use are not touched."""

from __future__ import annotations

import re

import pytest

from cairn_host import errors
from cairn_host.database import first_schema

MARK = first_schema.MARK


class Server:
    """A MariaDB that knows the few statements that are needed, by database."""

    def __init__(self, **databases: list[str]) -> None:
        self.databases = databases
        self.calls = 0

    def sql(self, statements: str) -> list[str]:
        self.calls += 1
        if statements.startswith("SELECT"):
            asked = re.findall(r"'(\w+)'", statements)
            return [f"{name}\t{table}" for name in asked for table in self.databases[name]]
        for verb, rest in re.findall(r"(CREATE|DROP) TABLE ([^;]*)", statements):
            for database, table in re.findall(r"`(\w+)`\.`(\w+)`", rest):
                if verb == "CREATE":
                    self.databases[database].append(table)
                else:
                    self.databases[database].remove(table)
        return []


@pytest.fixture
def server(monkeypatch):
    """A function that makes a server with databases and their tables."""

    def make(**databases: list[str]) -> Server:
        made = Server(**databases)
        monkeypatch.setattr(first_schema, "sql", made.sql)
        return made

    return make


def test_an_empty_database_is_marked_and_the_mark_goes_in_the_end(server):
    found = server(nova=[], nova_api=[])
    marked, emptied = first_schema.mark(["nova", "nova_api"])
    assert (marked, emptied) == (["nova", "nova_api"], [])
    assert found.databases == {"nova": [MARK], "nova_api": [MARK]}
    first_schema.unmark(marked)
    assert found.databases == {"nova": [], "nova_api": []}


def test_what_a_cut_off_attempt_has_made_goes_and_the_mark_stays(server):
    found = server(nova=[MARK, "instances", "services"], nova_api=[MARK])
    assert first_schema.mark(["nova", "nova_api"]) == (["nova", "nova_api"], ["nova"])
    assert found.databases == {"nova": [MARK], "nova_api": [MARK]}


def test_a_database_in_use_costs_one_question_and_keeps_everything(server):
    found = server(nova=["instances", "services"])
    assert first_schema.mark(["nova"]) == ([], [])
    first_schema.unmark([])
    assert found.databases == {"nova": ["instances", "services"]}
    assert found.calls == 1


def test_a_service_without_databases_asks_nobody(server):
    found = server()
    assert first_schema.mark([]) == ([], [])
    assert found.calls == 0


@pytest.fixture
def migrate(script, monkeypatch, server):
    """Run the module's work on a server; whatever `steps` does stands for the migrations."""
    module = script("plugins/modules/cairn_migrate.py")

    def work(databases, steps, release=""):
        recorded = []
        monkeypatch.setattr(module.staging, "migrate", lambda *_: steps())
        monkeypatch.setattr(module.records, "record", lambda *words: recorded.append(words))
        done = []
        asked = dict.fromkeys(("service", "generation", "phase", "record", "value"), "x")
        try:
            module.work(asked | {"databases": databases, "release": release}, done)
        except errors.HostError:
            done.append("failed")
        return [step if isinstance(step, str) else step["step"] for step in done], recorded

    return work


def test_an_attempt_that_fails_leaves_the_mark_and_the_next_begins_again(migrate, server):
    found = server(heat=[])

    def half() -> None:
        found.databases["heat"].append("stack")
        raise errors.HostError("power")

    assert migrate(["heat"], half) == (["failed"], [])
    assert found.databases == {"heat": [MARK, "stack"]}

    def whole() -> None:
        assert found.databases == {"heat": [MARK]}
        found.databases["heat"] += ["stack", "resource"]

    done, recorded = migrate(["heat"], whole)
    assert done == ["remove what was left half-made in heat"]
    assert found.databases == {"heat": ["stack", "resource"]}
    assert recorded == [("x", "x")]


def test_nothing_is_recorded_before_the_mark_has_gone(migrate, server, monkeypatch):
    server(heat=[])

    def refuse(_: object) -> None:
        raise errors.HostError("MariaDB on this host: gone")

    monkeypatch.setattr(first_schema, "unmark", refuse)
    assert migrate(["heat"], lambda: None) == (["failed"], [])


def test_what_takes_the_way_back_is_recorded_before_it_begins(migrate, server):
    server()

    def fail() -> None:
        raise errors.HostError("power")

    assert migrate([], fail, release="2026.1") == (["failed"], [("contracted-x", "2026.1")])
