"""RabbitMQ's definitions are compared with what services need, and the rest is changed."""

from __future__ import annotations

import base64
import hashlib
import json
import pwd
import tempfile
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from cairn_host import system
from cairn_host.messaging import definitions

QUEUES = [
    {"user": "nova", "vhost": "/nova", "password": "n-secret"},
    {"user": "neutron", "vhost": "/neutron", "password": "q-secret"},
]
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


def user_of(name: str, password: str) -> dict[str, Any]:
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
        "users": [
            user_of("nova", "n-secret"),
            user_of("neutron", "q-secret"),
            user_of("backup", "x"),
        ],
        "vhosts": [{"name": "/nova"}, {"name": "/neutron"}],
        "permissions": [
            {"user": "nova", "vhost": "/nova", **ALL},
            {"user": "neutron", "vhost": "/neutron", **ALL},
        ],
    }


def test_what_is_right_is_left_alone(right: dict[str, Any]) -> None:
    words, work = definitions.plan(QUEUES, right)
    assert words == []
    assert work == {
        "delete_users": [],
        "clear_permissions": [],
        "delete_policies": [],
        "import": {"users": [], "vhosts": [], "permissions": [], "policies": []},
    }


def test_an_empty_node_gets_everything() -> None:
    _words, work = definitions.plan(QUEUES, {})
    new = work["import"]
    assert [v["name"] for v in new["vhosts"]] == ["/nova", "/neutron"]
    assert {v["metadata"]["default_queue_type"] for v in new["vhosts"]} == {"quorum"}
    assert new["permissions"][0] == {"user": "nova", "vhost": "/nova", **ALL}
    assert definitions.is_password("n-secret", new["users"][0])
    assert not definitions.is_password("q-secret", new["users"][0])
    assert "n-secret" not in json.dumps(work)


def test_only_the_user_with_another_password_is_changed(right: dict[str, Any]) -> None:
    right["users"][1] = user_of("neutron", "old")
    words, work = definitions.plan(QUEUES, right)
    assert words == ["user neutron: new password"]
    assert [u["name"] for u in work["import"]["users"]] == ["neutron"]


def test_an_older_hashing_algorithm_is_replaced(right: dict[str, Any]) -> None:
    right["users"][0]["hashing_algorithm"] = "rabbit_password_hashing_md5"
    assert definitions.plan(QUEUES, right)[0] == ["user nova: new password"]


def test_narrowed_permissions_are_given_back(right: dict[str, Any]) -> None:
    right["permissions"][0]["write"] = "^$"
    words, work = definitions.plan(QUEUES, right)
    assert words == ["user nova: permissions in virtual host /nova"]
    assert work["import"]["permissions"] == [{"user": "nova", "vhost": "/nova", **ALL}]


def test_permissions_elsewhere_and_guest_go(right: dict[str, Any]) -> None:
    right["permissions"].append({"user": "nova", "vhost": "/neutron", **ALL})
    right["permissions"].append({"user": "backup", "vhost": "/nova", **ALL})
    right["users"].append(user_of("guest", "guest"))
    _words, work = definitions.plan(QUEUES, right)
    assert work["clear_permissions"] == [["nova", "/neutron"]]
    assert work["delete_users"] == ["guest"]


def test_a_granted_permission_on_anothers_virtual_host_is_given_and_stays(
    right: dict[str, Any],
) -> None:
    patterns = {"configure": "^x$", "write": "^y$", "read": "^z$"}
    queues = [QUEUES[0] | {"grants": [{"vhost": "/neutron", **patterns}]}, QUEUES[1]]
    words, work = definitions.plan(queues, right)
    assert words == ["user nova: permissions in virtual host /neutron"]
    given = {"user": "nova", "vhost": "/neutron", **patterns}
    assert work["import"]["permissions"] == [given]
    right["permissions"].append(given)
    assert definitions.plan(queues, right)[0] == []
    # Without the grant it goes again.
    assert definitions.plan(QUEUES, right)[1]["clear_permissions"] == [["nova", "/neutron"]]


def test_policies_are_made_changed_and_taken_away(right: dict[str, Any]) -> None:
    rule = {"name": "bound", "pattern": "^n", "definition": {"max-length-bytes": 1000}}
    queues = [QUEUES[0] | {"policies": [rule]}, QUEUES[1]]
    words, work = definitions.plan(queues, right)
    assert words == ["virtual host /nova: policy bound"]
    (made,) = work["import"]["policies"]
    assert made == {"vhost": "/nova", "apply-to": "queues", "priority": 0, **rule}
    right["policies"] = [made, {"vhost": "/backup", "name": "another's", "pattern": "."}]
    assert definitions.plan(queues, right)[0] == []
    changed = [QUEUES[0] | {"policies": [rule | {"definition": {"max-length-bytes": 1}}]}]
    assert definitions.plan(changed, right)[0] == ["virtual host /nova: policy bound"]
    assert definitions.plan(QUEUES, right)[1]["delete_policies"] == [["/nova", "bound"]]


class Node:
    """Evaluates what it is asked as RabbitMQ would, by either of its askers."""

    def __init__(self, definitions: dict[str, Any], said: str) -> None:
        self.definitions = definitions
        self.said = said
        self.argv: list[str] = []
        self.users: list[str | None] = []
        self.paths: list[Path] = []
        self.modes: list[int] = []
        self.got: Any = None

    def run(
        self, command: list[str], *, stdin: str = "", user: str | None = None, timeout: float
    ) -> CompletedProcess[str]:
        """Stands for system.run."""
        self.argv += command
        self.users.append(user)
        asked = stdin or command[-1]
        path = Path(asked.split('"')[1])
        self.paths.append(path)
        self.modes.append(path.stat().st_mode & 0o777)
        if "write_file" in asked:
            path.write_text(json.dumps(self.definitions))
        else:
            self.got = json.loads(path.read_text())
        return CompletedProcess(command, 0, self.said, "")


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, right: dict[str, Any], tmp_path: Path) -> Node:
    node = Node(right, "ok\n")
    make, root = tempfile.mkstemp, pwd.getpwuid(0)
    monkeypatch.setattr(tempfile, "mkstemp", lambda **how: make(**{**how, "dir": tmp_path}))
    monkeypatch.setattr(system, "run", node.run)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: root)
    return node


ASKERS = [
    (["rabbitmqctl"], None, "ok\n"),
    # erl_call finds the cookie in the home of RabbitMQ's own account.
    (["erl_call", "-sname", "rabbit@c1"], "rabbitmq", "{ok, ok}"),
]


@pytest.mark.parametrize(("ask", "user", "said"), ASKERS)
def test_what_a_node_has_is_read_and_what_it_lacks_is_given_to_it(
    node: Node, ask: list[str], user: str | None, said: str
) -> None:
    node.said = said
    node.definitions["users"][0] = user_of("nova", "old")
    assert definitions.declare(QUEUES, ask, False) == ["user nova: new password"]
    (made,) = node.got["import"]["users"]
    assert definitions.is_password("n-secret", made)
    assert node.users == [user, user]
    assert not any(made["password_hash"] in word for word in node.argv)
    assert node.modes == [0o600, 0o600]
    assert not any(path.exists() for path in node.paths)


@pytest.mark.parametrize("ask", [["rabbitmqctl"], ["erl_call", "-sname", "rabbit@c1"]])
def test_a_refusal_is_an_error_and_the_file_goes_all_the_same(node: Node, ask: list[str]) -> None:
    # Both of them end well.
    node.said = "{error, not_today}\n"
    with pytest.raises(definitions.QueueError, match="not_today"):
        definitions.apply({}, ask)
    assert node.paths
    assert not any(path.exists() for path in node.paths)


def test_a_plan_changes_nothing(node: Node) -> None:
    node.definitions["users"] = []
    assert definitions.declare(QUEUES, ["rabbitmqctl"], True)
    assert node.got is None
