"""cairn_queues: compares RabbitMQ's definitions with what services need, and changes the rest."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

QUEUES = [
    {"user": "nova", "vhost": "/nova", "password": "n-secret"},
    {"user": "neutron", "vhost": "/neutron", "password": "q-secret"},
]
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("plugins/modules/cairn_queues.py")


def user(name: str, password: str) -> dict[str, Any]:
    """A user as RabbitMQ exports it."""
    salted = b"salt" + hashlib.sha256(b"salt" + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salted).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
        "limits": {},
    }


@pytest.fixture
def right() -> dict[str, Any]:
    """The definitions of a node where all is as it should be."""
    return {
        "users": [user("nova", "n-secret"), user("neutron", "q-secret"), user("backup", "x")],
        "vhosts": [{"name": "/nova"}, {"name": "/neutron"}],
        "permissions": [
            {"user": "nova", "vhost": "/nova", **ALL},
            {"user": "neutron", "vhost": "/neutron", **ALL},
        ],
    }


def test_what_is_right_is_left_alone(module: ModuleType, right: dict[str, Any]) -> None:
    words, work = module.plan(QUEUES, right)
    assert words == []
    assert work == {
        "delete_users": [],
        "clear_permissions": [],
        "delete_policies": [],
        "import": {"users": [], "vhosts": [], "permissions": [], "policies": []},
    }


def test_an_empty_node_gets_everything(module: ModuleType) -> None:
    _words, work = module.plan(QUEUES, {})
    new = work["import"]
    assert [v["name"] for v in new["vhosts"]] == ["/nova", "/neutron"]
    assert {v["metadata"]["default_queue_type"] for v in new["vhosts"]} == {"quorum"}
    assert new["permissions"][0] == {"user": "nova", "vhost": "/nova", **ALL}
    assert module.is_password("n-secret", new["users"][0])
    assert not module.is_password("q-secret", new["users"][0])
    assert "n-secret" not in json.dumps(work)


def test_only_the_user_with_another_password_is_changed(
    module: ModuleType, right: dict[str, Any]
) -> None:
    right["users"][1] = user("neutron", "old")
    words, work = module.plan(QUEUES, right)
    assert words == ["user neutron: new password"]
    assert [u["name"] for u in work["import"]["users"]] == ["neutron"]


def test_an_older_hashing_algorithm_is_replaced(module: ModuleType, right: dict[str, Any]) -> None:
    right["users"][0]["hashing_algorithm"] = "rabbit_password_hashing_md5"
    assert module.plan(QUEUES, right)[0] == ["user nova: new password"]


def test_narrowed_permissions_are_given_back(module: ModuleType, right: dict[str, Any]) -> None:
    right["permissions"][0]["write"] = "^$"
    words, work = module.plan(QUEUES, right)
    assert words == ["user nova: allow virtual host /nova"]
    assert work["import"]["permissions"] == [{"user": "nova", "vhost": "/nova", **ALL}]


def test_permissions_elsewhere_and_guest_go(module: ModuleType, right: dict[str, Any]) -> None:
    right["permissions"].append({"user": "nova", "vhost": "/neutron", **ALL})
    right["permissions"].append({"user": "backup", "vhost": "/nova", **ALL})
    right["users"].append(user("guest", "guest"))
    _words, work = module.plan(QUEUES, right)
    assert work["clear_permissions"] == [["nova", "/neutron"]]
    assert work["delete_users"] == ["guest"]


def test_a_granted_permission_on_anothers_virtual_host_is_given_and_stays(
    module: ModuleType, right: dict[str, Any]
) -> None:
    patterns = {"configure": "^x$", "write": "^y$", "read": "^z$"}
    queues = [QUEUES[0] | {"grants": [{"vhost": "/neutron", **patterns}]}, QUEUES[1]]
    words, work = module.plan(queues, right)
    assert words == ["user nova: allow virtual host /neutron"]
    given = {"user": "nova", "vhost": "/neutron", **patterns}
    assert work["import"]["permissions"] == [given]
    right["permissions"].append(given)
    assert module.plan(queues, right)[0] == []
    # Without the grant it goes again.
    assert module.plan(QUEUES, right)[1]["clear_permissions"] == [["nova", "/neutron"]]


def test_policies_are_made_changed_and_taken_away(
    module: ModuleType, right: dict[str, Any]
) -> None:
    rule = {"name": "bound", "pattern": "^n", "definition": {"max-length-bytes": 1000}}
    queues = [QUEUES[0] | {"policies": [rule]}, QUEUES[1]]
    words, work = module.plan(queues, right)
    assert words == ["virtual host /nova: policy bound"]
    (made,) = work["import"]["policies"]
    assert made == {"vhost": "/nova", "apply-to": "queues", "priority": 0, **rule}
    right["policies"] = [made, {"vhost": "/backup", "name": "another's", "pattern": "."}]
    assert module.plan(queues, right)[0] == []
    changed = [QUEUES[0] | {"policies": [rule | {"definition": {"max-length-bytes": 1}}]}]
    assert module.plan(changed, right)[0] == ["virtual host /nova: policy bound"]
    assert module.plan(QUEUES, right)[1]["delete_policies"] == [["/nova", "bound"]]


def test_noise_around_the_definitions_is_passed_over(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, right: dict[str, Any]
) -> None:
    said = f"warning: something\n{json.dumps(right)}\n"
    monkeypatch.setattr(module, "rabbitmqctl", lambda *_: said)
    assert module.export() == right


def test_the_work_goes_by_a_closed_file_that_does_not_stay(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def rabbitmqctl(*arguments: str) -> str:
        path = Path(arguments[1].split('"')[1])
        seen.update(path=path, mode=path.stat().st_mode & 0o777, work=json.loads(path.read_text()))
        seen["argv"] = " ".join(arguments)
        return "ok\n"

    monkeypatch.setattr(module, "rabbitmqctl", rabbitmqctl)
    monkeypatch.setattr(module.pwd, "getpwnam", lambda _: module.pwd.getpwuid(0))
    module.apply({"import": {"users": ["hash"]}})
    assert seen["mode"] == 0o600
    assert seen["work"] == {"import": {"users": ["hash"]}}
    assert "hash" not in seen["argv"]
    assert not seen["path"].exists()


def test_a_refusal_is_an_error_and_the_file_goes_all_the_same(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make = module.tempfile.mkstemp
    monkeypatch.setattr(module.tempfile, "mkstemp", lambda **how: make(**{**how, "dir": tmp_path}))
    monkeypatch.setattr(module, "rabbitmqctl", lambda *_: "{error,not_today}\n")
    monkeypatch.setattr(module.pwd, "getpwnam", lambda _: module.pwd.getpwuid(0))
    with pytest.raises(module.QueueError, match="not_today"):
        module.apply({})
    assert list(tmp_path.iterdir()) == []
