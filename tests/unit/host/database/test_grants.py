"""What MariaDB shows is compared with what services need, and the rest is changed."""

from __future__ import annotations

from typing import Any

import pytest

from cairn_host.database import grants
from cairn_host.database.mariadb import DatabaseError

PLANE = "192.0.2.0/255.255.255.0"
WHO = ("nova", PLANE)
NAME = "'nova'@'192.0.2.0/255.255.255.0'"
# As MariaDB 11.8 hashes and shows it.
HASH = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
USAGE = f"GRANT USAGE ON *.* TO `nova`@`{PLANE}` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SSL"
NOVA = f"GRANT ALL PRIVILEGES ON `nova`.* TO `nova`@`{PLANE}`"
NOVA_API = f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO `nova`@`{PLANE}`"


def databases(*names: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "user": "nova", "password": "password", "hosts": [PLANE]} for name in names
    ]


def plan(held: dict[tuple[str, str], list[str]]) -> tuple[list[str], str]:
    """Changes in words, and their SQL as one text, for nova and nova_api that exist already."""
    changes = grants.plan(databases("nova", "nova_api"), {"nova", "nova_api"}, held)
    return [words for words, _ in changes], "\n".join(sql for _, sql in changes)


def test_an_empty_server_gets_everything_in_order() -> None:
    changes = grants.plan(databases("nova", "nova_api"), {"mysql"}, {})
    assert [sql for _, sql in changes] == [
        "CREATE DATABASE `nova` CHARACTER SET utf8mb4;",
        "CREATE DATABASE `nova_api` CHARACTER SET utf8mb4;",
        f"CREATE USER {NAME} IDENTIFIED VIA mysql_native_password USING '{HASH}' REQUIRE SSL;",
        f"GRANT ALL PRIVILEGES ON `nova`.* TO {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO {NAME};",
    ]


def test_what_is_right_is_left_alone() -> None:
    assert plan({WHO: [USAGE, NOVA, NOVA_API]}) == ([], "")


@pytest.mark.parametrize(
    "usage",
    [USAGE.replace("*2470", "*0000"), USAGE.removesuffix(" REQUIRE SSL"), USAGE[:-11] + "X509"],
    ids=["another password", "without TLS", "by certificate"],
)
def test_a_wrong_login_is_put_right(usage: str) -> None:
    words, sql = plan({WHO: [usage, NOVA, NOVA_API]})
    assert words == [f"user nova from {PLANE}: password and TLS"]
    assert sql.startswith(f"ALTER USER {NAME} IDENTIFIED VIA") and "REQUIRE SSL" in sql


def test_privileges_on_everything_are_taken_away() -> None:
    usage = USAGE.replace("USAGE", "SELECT, SUPER") + " WITH GRANT OPTION"
    _words, sql = plan({WHO: [usage, NOVA, NOVA_API]})
    assert sql.splitlines() == [
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova`.* TO {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO {NAME};",
    ]


def test_another_services_database_is_taken_away() -> None:
    foreign = f"GRANT SELECT ON `keystone`.* TO `nova`@`{PLANE}` WITH GRANT OPTION"
    _words, sql = plan({WHO: [USAGE, NOVA, NOVA_API, foreign]})
    assert sql == (
        f"REVOKE GRANT OPTION ON `keystone`.* FROM {NAME}; "
        f"REVOKE ALL PRIVILEGES ON `keystone`.* FROM {NAME};"
    )


def test_a_grant_whose_underscore_matches_any_letter_does_not_do() -> None:
    loose = f"GRANT ALL PRIVILEGES ON `nova_api`.* TO `nova`@`{PLANE}`"
    _words, sql = plan({WHO: [USAGE, NOVA, loose]})
    assert sql.splitlines() == [
        f"REVOKE ALL PRIVILEGES ON `nova_api`.* FROM {NAME};",
        f"GRANT ALL PRIVILEGES ON `nova\\_api`.* TO {NAME};",
    ]


def test_a_part_of_the_rights_is_completed_without_a_gap() -> None:
    part = f"GRANT SELECT, INSERT ON `nova`.* TO `nova`@`{PLANE}`"
    _words, sql = plan({WHO: [USAGE, part, NOVA_API]})
    assert sql == f"GRANT ALL PRIVILEGES ON `nova`.* TO {NAME};"


def test_the_same_user_from_elsewhere_goes() -> None:
    held = {WHO: [USAGE, NOVA, NOVA_API], ("nova", "%"): [USAGE]}
    assert plan(held)[1] == "DROP USER 'nova'@'%';"


def test_databases_are_never_dropped() -> None:
    changes = grants.plan(databases("nova"), {"nova", "old"}, {WHO: [USAGE, NOVA, NOVA_API]})
    assert "DROP DATABASE" not in str(changes)


def test_no_password_is_in_any_statement() -> None:
    wanted = [{**databases("nova")[0], "password": "Zx9-secret"}]
    assert "Zx9-secret" not in str(grants.plan(wanted, set(), {}))


@pytest.mark.parametrize("name", ["nova`; DROP", "", "nova.api", "no%"])
def test_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(DatabaseError, match="is no name"):
        grants.plan(databases(name), set(), {})


def test_an_unreadable_grant_is_an_error_without_its_hash() -> None:
    with pytest.raises(DatabaseError) as caught:
        plan({WHO: [f"SOMETHING NEW '{HASH}'"]})
    assert HASH not in str(caught.value)


def test_reading_asks_the_server_twice_whatever_the_number_of_users(
    monkeypatch: pytest.MonkeyPatch,
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

    monkeypatch.setattr(grants, "sql", sql)
    present, held = grants.read({"nova"})
    assert present == {"nova"}
    assert held == {
        WHO: [USAGE, NOVA],
        ("nova", "%"): ["GRANT USAGE ON *.* TO `nova`@`%`"],
    }
    assert len(asked) == 2
