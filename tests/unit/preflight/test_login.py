"""A login that may not become root is explained before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError

from cairn.preflight.finding import ERROR
from cairn.preflight.host import check_operator_become, check_reachable
from cairn.preflight.login import explain

Data = dict[str, Any]
REFUSED: dict[str, tuple[Data, str, str]] = {
    "no password": (
        {"msg": "MODULE FAILURE", "module_stderr": "sudo: a password is required\n"},
        "debian needs a password to become root, and none was given",
        "-K",
    ),
    "none for the prompt": (
        {"msg": "Task failed: Missing sudo password"},
        "debian needs a password to become root, and none was given",
        "ansible_become_password",
    ),
    "wrong password": (
        {"msg": "Task failed: Incorrect sudo password"},
        "the password with which debian should become root is wrong",
        "-K",
    ),
    "not a sudoer": (
        {"msg": "", "module_stdout": "debian is not in the sudoers file."},
        "debian may not become root",
        "usermod --append --groups sudo debian",
    ),
    "no sudo": (
        {"msg": "MODULE FAILURE", "module_stderr": "/bin/sh: 1: sudo: not found\n"},
        "sudo is not installed on the host",
        "apt-get install sudo",
    ),
    "no terminal": (
        {"module_stderr": "sudo: sorry, you must have a tty to run sudo"},
        "sudo on the host requires a terminal",
        "requiretty",
    ),
    "no answer": (
        {"msg": "Timeout (32s) waiting for privilege escalation prompt: "},
        "debian did not become root in time, or was refused",
        "sudo --reset-timestamp true",
    ),
    "not asked to": (
        {"msg": "Cairn runs as debian, not as root", "not_root": True},
        "Ansible logs in as debian and does not become root",
        "ansible_become: true",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_is_a_finding_that_says_how_to_mend_it(case: str) -> None:
    answer, text, remedy = REFUSED[case]
    (finding,) = check_reachable("x", {**answer, "login": "debian"}, ["compute"])
    assert (finding.severity, finding.check, finding.text) == (ERROR, "login", text)
    assert remedy in finding.remedy and "docs/set-up-logins.md" in finding.remedy


def test_an_unreachable_host_refused_nothing() -> None:
    assert explain({"msg": "Connection refused"}, "debian") is None
    assert explain({"msg": "debian@x: Permission denied (publickey,password)."}, "debian") is None


# --- the probe


@pytest.fixture
def probe(script: Callable[[str], ModuleType], site: Data) -> Callable[..., Data]:
    """Run the action against a host that answers so, or raises that."""
    module = script("plugins/action/cairn_probe.py")

    def run(answer: Any, **arguments: Any) -> Data:
        action = object.__new__(module.ActionModule)
        action._task = SimpleNamespace(
            args=arguments, action="cairn_probe", async_val=0, check_mode=False, diff=False
        )
        action._play_context = SimpleNamespace(remote_user=None)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))

        def execute(*_: Any, **__: Any) -> Data:
            if isinstance(answer, Exception):
                raise answer
            return dict(answer)

        action._execute_module = execute
        task_vars = {
            "cairn_site": site,
            "inventory_hostname": "compute1",
            "hostvars": {"compute1": {}},
            "ansible_user": "debian",
        }
        found: Data = action.run(None, task_vars)
        return found

    return run


@pytest.mark.parametrize("kind", [AnsibleError, AnsibleConnectionFailure])
def test_preflight_gets_a_result_to_judge_instead_of_a_failure(probe: Any, kind: Any) -> None:
    result = probe(kind("Missing sudo password"), required=False)
    assert not result["failed"]
    (finding,) = check_reachable("x", result, ["compute"])
    assert finding.text.startswith("debian needs a password")


def test_elsewhere_the_task_fails_with_meaning_and_remedy(probe: Any) -> None:
    result = probe({"failed": True, "msg": "x", "module_stderr": "sudo: a password is required"})
    assert result["failed"]
    assert "debian needs a password to become root" in result["msg"] and "-K" in result["msg"]


def test_a_host_that_cannot_be_reached_is_ansibles_to_tell(probe: Any) -> None:
    with pytest.raises(AnsibleConnectionFailure):
        probe(AnsibleConnectionFailure("No route to host"), required=False)


# --- the control node


@pytest.mark.parametrize("value", [True, "true", "yes"])
def test_become_of_the_command_line_is_refused_for_the_operators_files(value: Any) -> None:
    given = {"ansible_become": value}
    (finding,) = check_operator_become(given, {"operator": ["here"]}, root=False)
    assert finding.severity == ERROR
    assert "group_vars/all" in finding.remedy
    assert not check_operator_become(given, {"operator": ["here"]}, root=True)
    assert not check_operator_become(given, {}, root=False)
    wanted = given | {"operator_become": True}
    assert not check_operator_become(wanted, {"operator": ["here"]}, root=False)
    assert not check_operator_become({}, {"operator": ["here"]}, root=False)


def test_hosts_become_root_and_the_operators_plays_do_not(root: Any) -> None:
    """Inventory and `--become` give the hosts theirs; variables of a play go before both."""
    import yaml

    plays = [
        play
        for path in sorted((root / "playbooks").rglob("*.yml"))
        for play in yaml.safe_load(path.read_text())
        if play.get("hosts") == "operator"
    ]
    assert len(plays) >= 3
    for play in plays:
        assert play["vars"]["ansible_become"] == "{{ operator_become | default(false) | bool }}"
