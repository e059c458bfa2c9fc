"""cairn_databases: compares what MariaDB shows with what services need, and changes the rest."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

PLANE = "192.0.2.0/255.255.255.0"
WHO = ("nova", PLANE)
NAME = "'nova'@'192.0.2.0/255.255.255.0'"
# As MariaDB 11.8 hashes and shows it.
HASH = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
USAGE = f"GRANT USAGE ON *.* TO `nova`@`{PLANE}` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL"
NOVA = f"GRANT ALL PRIVILEGES ON `nova`.* TO `nova`@`{PLANE}`"
NOVA_API = f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO `nova`@`{PLANE}`"


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("plugins/modules/cairn_databases.py")


def databases(*names: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "user": "nova", "password": "password", "hosts": [PLANE]} for name in names
    ]


def plan(module: ModuleType, grants: dict[tuple[str, str], list[str]]) -> tuple[list[str], str]:
    """Changes in words, and their SQL as one text, for nova and nova_api that exist already."""
    changes = module.plan(databases("nova", "nova_api"), {"nova", "nova_api"}, grants)
    return [words for words, _ in changes], "\n".join(sql for _, sql in changes)


def test_an_empty_server_gets_everything_in_order(module: ModuleType) -> None:
    changes = module.plan(databases("nova", "nova_api"), {"mysql"}, {})
    assert [sql for _, sql in changes] == [
        "CREATE DATABASE `nova` CHARACTER SET utf8mb4;",
        "CREATE DATABASE `nova_api` CHARACTER SET utf8mb4;",
        f"CREATE USER {NAME} IDENTIFIED VIA mysql_native_password USING '{HASH}' REQUIRE SSL;",
        f"GRANT ALL PRIVILEGES ON `nova`.* TO {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO {NAME};",
    ]


def test_what_is_right_is_left_alone(module: ModuleType) -> None:
    assert plan(module, {WHO: [USAGE, NOVA, NOVA_API]}) == ([], "")


@pytest.mark.parametrize(
    "usage",
    [USAGE.replace("*2470", "*0000"), USAGE.removesuffix(" REQUIRE SSL"), USAGE[:-11] + "X509"],
    ids=["another password", "without TLS", "by certificate"],
)
def test_a_wrong_login_is_put_right(module: ModuleType, usage: str) -> None:
    words, sql = plan(module, {WHO: [usage, NOVA, NOVA_API]})
    assert words == [f"user nova from {PLANE}: password and TLS"]
    assert sql.startswith(f"ALTER USER {NAME} IDENTIFIED VIA") and "REQUIRE SSL" in sql


def test_privileges_on_everything_are_taken_away(module: ModuleType) -> None:
    usage = USAGE.replace("USAGE", "SELECT, SUPER") + " WITH GRANT OPTION"
    _words, sql = plan(module, {WHO: [usage, NOVA, NOVA_API]})
    assert sql.splitlines() == [
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova`.* TO {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO {NAME};",
    ]


def test_another_services_database_is_taken_away(module: ModuleType) -> None:
    foreign = f"GRANT SELECT ON `keystone`.* TO `nova`@`{PLANE}` WITH GRANT OPTION"
    _words, sql = plan(module, {WHO: [USAGE, NOVA, NOVA_API, foreign]})
    assert sql == (
        f"REVOKE GRANT OPTION ON `keystone`.* FROM {NAME}; "
        f"REVOKE ALL PRIVILEGES ON `keystone`.* FROM {NAME};"
    )


def test_a_grant_whose_underscore_matches_any_letter_does_not_do(module: ModuleType) -> None:
    loose = f"GRANT ALL PRIVILEGES ON `nova_api`.* TO `nova`@`{PLANE}`"
    _words, sql = plan(module, {WHO: [USAGE, NOVA, loose]})
    assert sql.splitlines() == [
        f"REVOKE ALL PRIVILEGES ON `nova_api`.* FROM {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO {NAME};",
    ]


def test_a_part_of_the_rights_is_completed_without_a_gap(module: ModuleType) -> None:
    part = f"GRANT SELECT, INSERT ON `nova`.* TO `nova`@`{PLANE}`"
    _words, sql = plan(module, {WHO: [USAGE, part, NOVA_API]})
    assert sql == f"GRANT ALL PRIVILEGES ON `nova`.* TO {NAME};"


def test_the_same_user_from_elsewhere_goes(module: ModuleType) -> None:
    grants = {WHO: [USAGE, NOVA, NOVA_API], ("nova", "%"): [USAGE]}
    assert plan(module, grants)[1] == "DROP USER 'nova'@'%';"


def test_databases_are_never_dropped(module: ModuleType) -> None:
    changes = module.plan(databases("nova"), {"nova", "old"}, {WHO: [USAGE, NOVA, NOVA_API]})
    assert "DROP DATABASE" not in str(changes)


def test_no_password_is_in_any_statement(module: ModuleType) -> None:
    wanted = [{**databases("nova")[0], "password": "Zx9-secret"}]
    assert "Zx9-secret" not in str(module.plan(wanted, set(), {}))


@pytest.mark.parametrize("name", ["nova`; DROP", "", "nova.api", "no%"])
def test_an_impossible_name_is_refused(module: ModuleType, name: str) -> None:
    with pytest.raises(module.DatabaseError, match="is no name"):
        module.plan(databases(name), set(), {})


def test_an_unreadable_grant_is_an_error_without_its_hash(module: ModuleType) -> None:
    with pytest.raises(module.DatabaseError) as caught:
        plan(module, {WHO: [f"SOMETHING NEW '{HASH}'"]})
    assert HASH not in str(caught.value)


def test_reading_asks_the_server_twice_whatever_the_number_of_users(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        [
            "database\tnova\t",
            "account\troot\tlocalhost",
            "account\tnova\t" + PLANE,
            "account\tnova\t%",
        ],
        ["account 0", USAGE, NOVA, "account 1", "GRANT USAGE ON *.* TO `nova`@`%`"],
    ]
    asked: list[str] = []

    def sql(statements: str) -> list[str]:
        asked.append(statements)
        return answers[len(asked) - 1]

    monkeypatch.setattr(module, "sql", sql)
    present, grants = module.read({"nova"})
    assert present == {"nova"}
    assert grants == {
        WHO: [USAGE, NOVA],
        ("nova", "%"): ["GRANT USAGE ON *.* TO `nova`@`%`"],
    }
    assert len(asked) == 2
