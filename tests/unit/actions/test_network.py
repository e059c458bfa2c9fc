"""Commit-confirm on the control node, against a host that is only answers."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from cairn.actions import network

Data = dict[str, Any]
NAMES = ("a", "b")
PREVIEW = {
    "before": {"/etc/systemd/network/10-a.network": "old\n", "/etc/netplan/50.yaml": "x\n"},
    "after": {"/etc/systemd/network/10-a.network": "new\n"},
    "links_before": ["eth0: mtu 1500"],
    "links_after": ["mgmt0: mtu 1500"],
    "networkd": True,
}
# What the step "applied" leaves to the others.
APPLIED = {"started": 1000.0, "window": 30, "rest": 12, "connect": 5}


@pytest.fixture
def action(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The action's module; its clock advances by a second with each pause."""
    module = network
    clock = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: clock[0])
    monkeypatch.setattr(
        module.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + max(seconds, 1))
    )
    yield module
    assert clock[0] < 1200, "it waited longer than its window allows"


@pytest.fixture
def task_vars() -> Data:
    hosts = {
        name: {
            "addresses": {"management": f"192.0.2.{number}"},
            "devices": {"management": "mgmt0"},
            "network": "wanted",
            "groups": ["compute"],
        }
        for number, name in enumerate(NAMES, start=11)
    }
    nics = {"eth0": {"addresses": ["192.0.2.200/24"]}}
    present = {"hash": "old", "drift": [], "unconfirmed": False}
    return {
        "inventory_hostname": "a",
        "ansible_host": "192.0.2.200",
        "ansible_forks": 20,
        "ansible_play_hosts_all": list(NAMES),
        "cairn_host": {"nics": nics, "network": present},
        "cairn_site": {"hosts": hosts, "planes": {"management": {"mtu": 1500, "vip": None}}},
        "hostvars": {"a": {"cairn_host": {"os": {}}}, "b": {"cairn_host": {"os": {}}}},
    }


@pytest.fixture
def plugin(script: Callable[[str], ModuleType], action: ModuleType) -> Callable[..., Any]:
    """Make the plugin, with the host's answers to each `state` in turn; the last one stays."""
    action_class = script("plugins/action/cairn_network.py").ActionModule

    def make(check: bool = False, **answers: list[Any]) -> Any:
        made = object.__new__(action_class)
        made.asked = []
        made._task = type("Task", (), {"check_mode": check})()

        def module(_task_vars: Any, state: str, **_more: Any) -> Any:
            made.asked.append(state)
            found = answers[state]
            answer = found.pop(0) if len(found) > 1 else found[0]
            if answer is None:
                raise AnsibleConnectionFailure("no route to host")
            return answer

        @contextlib.contextmanager
        def at(address: str) -> Iterator[None]:
            made.asked.append(f"at {address}")
            yield

        made._module = module
        made._use_fresh_connections = lambda _connect, host=None, _alias="": made.asked.append(
            f"fresh {host}"
        )
        made._host_key_alias = lambda former: (former or "", "-J bastion")
        made._at = at
        return made

    return make


def status(applied: bool = False, armed: bool = True, error: str = "") -> Data:
    return {"applied": applied, "armed": armed, "error": error}


@pytest.fixture(autouse=True)
def request_made(action: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "desired", lambda _vars: {"files": {"10-a.network": "new\n"}})


# --- pure parts


def test_differences_name_what_is_made_changed_or_put_aside(action: ModuleType) -> None:
    before = {"10-a": "old\n", "20-b": "same\n", "30-gone": "x\n"}
    after = {"10-a": "new\n", "20-b": "same\n", "50-made": "z\n"}
    found = action.file_diffs(before, after)
    assert [(d["after_header"], d["before"], d["after"]) for d in found] == [
        ("10-a", "old\n", "new\n"),
        ("30-gone", "x\n", ""),
        ("50-made", "", "z\n"),
    ]


@pytest.mark.parametrize(
    ("ssh_args", "extra_args"),
    [
        ("-o ControlMaster=auto -o ControlPersist=300s", None),
        ("-o ControlMaster=auto -o ControlPersist=300s -o ControlPath=/tmp/site-%C", ""),
        ("-M -S /tmp/site-%C -o ControlPersist=yes", "-o ProxyJump=admin@bastion:2222"),
        (None, "-S /tmp/extra-%C -M -J bastion"),
        ("-F {config}", "-o ProxyJump=bastion"),
    ],
)
def test_connections_are_new_whatever_the_site_shares_and_go_through_its_jump_hosts(
    action: ModuleType, tmp_path: Path, ssh_args: str | None, extra_args: str | None
) -> None:
    """As ssh itself understands the command line that Ansible makes of its options."""
    config = tmp_path / "config"
    config.write_text(
        "Host *\n ControlMaster auto\n ControlPath /tmp/c-%C\n ControlPersist yes\n Port 2200\n"
    )
    common = "-o ProxyJump=gate" if "bastion" not in (extra_args or "") else ""
    options = action.unshared((ssh_args or "").format(config=config), extra_args, 7)
    words = shlex.split(f"{options['ssh_args']} -o ConnectTimeout=30 {common}")
    words += shlex.split(options["ssh_extra_args"])
    done = subprocess.run(
        ["ssh", *words, "-G", "host.example"], capture_output=True, text=True, check=True
    )
    shown = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    # ssh shows no ControlPath where there is none.
    assert shown.get("controlpath", "none") == "none"
    assert shown["connecttimeout"] == "7"
    assert ("bastion" if extra_args and "bastion" in extra_args else "gate") in shown["proxyjump"]
    if "-F" in (ssh_args or ""):
        assert shown["port"] == "2200"


def test_only_connections_by_ssh_are_made_new(plugin: Any, action: ModuleType) -> None:
    options = {"ssh_args": "-o ControlMaster=auto", "ssh_extra_args": "-J bastion"}
    reset = []

    class Connection:
        transport = "ansible.builtin.ssh"

        def get_option(self, name: str) -> str:
            return options[name]

        def set_option(self, name: str, value: Any) -> None:
            options[name] = value

        def reset(self) -> None:
            reset.append(dict(options))

    made = plugin()
    del made._use_fresh_connections
    made._connection = Connection()
    made._use_fresh_connections(9, "192.0.2.11")
    # The shared one is ended as it was opened.
    assert reset == [{"ssh_args": "-o ControlMaster=auto", "ssh_extra_args": "-J bastion"}]
    assert options["ssh_args"].startswith("-o ControlMaster=no -o ControlPath=none")
    assert options["ssh_extra_args"] == "-J bastion -S none"
    assert options["host"] == "192.0.2.11"
    made._connection.transport = "local"
    made._use_fresh_connections(9)
    assert len(reset) == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "192.0.2.200"),
        (["-p", "2222"], "[192.0.2.200]:2222"),
        (["-o", "HostName=host.example"], "host.example"),
        (["-o", "HostKeyAlias=north"], ""),
    ],
)
def test_a_key_is_known_as_ssh_knows_it(
    action: ModuleType, arguments: list[str], name: str
) -> None:
    command = ["ssh", "-F", "none", *arguments, "-G", "192.0.2.200"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert action.key_name(done.stdout, "192.0.2.200") == name


def test_only_an_address_that_goes_away_is_followed(action: ModuleType, task_vars: Data) -> None:
    assert action.new_address(task_vars) == "192.0.2.11"
    # Reached from outside, behind a translated address: nothing is known about it.
    assert action.new_address(task_vars | {"ansible_host": "198.51.100.7"}) is None
    task_vars["cairn_host"]["nics"]["eth0"]["addresses"] = ["192.0.2.11/24"]
    assert action.new_address(task_vars | {"ansible_host": "192.0.2.11"}) is None


# --- applying


def test_an_unchanged_network_costs_no_call(plugin: Any, task_vars: Data) -> None:
    task_vars["cairn_host"]["network"]["hash"] = "wanted"
    made = plugin()
    assert made._applied({"window": 30, "keep": []}, task_vars) == {"changed": False}
    assert made.asked == []


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_plan_says_what_the_run_says(plugin: Any, task_vars: Data, by_hand: bool) -> None:
    if by_hand:
        task_vars["cairn_host"]["network"] |= {"hash": "wanted", "drift": ["x was changed"]}
    made = plugin(check=True, read=[PREVIEW])
    plan = made._applied({"window": 30, "keep": []}, task_vars)
    assert made.asked == ["read"]
    run = plugin(arm=[PREVIEW], status=[status(applied=True)])._applied(
        {"window": 30, "keep": []}, task_vars
    )
    assert plan == {key: run[key] for key in plan}
    assert (plan["changed"], plan["restarted"], plan["reloaded"]) == (
        True,
        [],
        ["systemd-networkd.service"],
    )
    assert plan["removed"] == ["/etc/netplan/50.yaml"]
    assert plan["mended"] == (["x was changed"] if by_hand else [])
    assert [d["after_header"] for d in plan["diff"]] == [
        "/etc/netplan/50.yaml",
        "/etc/systemd/network/10-a.network",
        "links",
    ]
    assert plan["diff"][2]["before"] == "eth0: mtu 1500\n"


def test_networkd_that_does_not_run_yet_is_started(plugin: Any, task_vars: Data) -> None:
    made = plugin(check=True, read=[PREVIEW | {"networkd": False}])
    plan = made._applied({"window": 30, "keep": []}, task_vars)
    assert (plan["restarted"], plan["reloaded"]) == (["systemd-networkd.service"], [])


@pytest.mark.parametrize("state", ["asked", "confirmed"])
def test_a_plan_ends_with_what_is_to_be_applied(plugin: Any, task_vars: Data, state: str) -> None:
    made = plugin(check=True)
    arguments = {"state": state, "applied": {"changed": True}}
    assert made.step(arguments, task_vars) == {"changed": False, "missing": [], "off": []}
    assert made.asked == []


def test_a_change_is_followed_to_the_new_address(plugin: Any, task_vars: Data) -> None:
    answers = [None, status(), status(applied=True)]
    made = plugin(arm=[PREVIEW], status=answers)
    result = made._applied({"window": 30, "keep": []}, task_vars)
    # Not there yet; still where it was, where nothing has begun; there.
    looked = ["status", "at 192.0.2.200", "status", "status"]
    assert made.asked == ["arm", "fresh 192.0.2.11", *looked]
    assert (result["address"], result["former_address"]) == ("192.0.2.11", "192.0.2.200")
    # The rest of the run knows its key by the name that known_hosts has.
    assert result["ssh_extra_args"] == "-J bastion -o HostKeyAlias=192.0.2.200"
    assert "HostKeyAlias=192.0.2.200" in result["warnings"][0]


def test_a_host_that_is_back_at_its_former_address_is_found(plugin: Any, task_vars: Data) -> None:
    back = status(applied=True, armed=False) | {"linkless": ["bond0"]}
    made = plugin(arm=[PREVIEW], status=[None, None, None, back])
    with pytest.raises(AnsibleActionFail, match=r"within 30 s; bond0 had no link\. The old"):
        made._applied({"window": 30, "keep": []}, task_vars)


def test_a_change_that_a_killed_run_left_behind_is_waited_for(plugin: Any, task_vars: Data) -> None:
    busy = {"busy": True, "msg": "a change waits"}
    made = plugin(arm=[busy, busy, PREVIEW], status=[status(applied=True)])
    made._applied({"window": 30, "keep": []}, task_vars)
    assert made.asked[:3] == ["arm"] * 3
    with pytest.raises(AnsibleActionFail, match="a change waits"):
        plugin(arm=[busy])._applied({"window": 30, "keep": []}, task_vars)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (status(armed=False), "did not get through over the new network within 30 s"),
        (status(armed=False, error="no such card"), "was not changed: no such card"),
        (
            status(armed=False) | {"reverted": "nobody confirmed within the window"},
            "did not get through over the new network within 30 s",
        ),
        (
            status(armed=False) | {"reverted": "the host was restarted before"},
            r"was not changed: the host was restarted before\.",
        ),
        (None, "should have restored its old network by itself; look at its console"),
    ],
)
def test_a_change_that_did_not_come_up(
    plugin: Any, task_vars: Data, answer: Data | None, text: str
) -> None:
    made = plugin(arm=[PREVIEW], status=[answer])
    with pytest.raises(AnsibleActionFail, match=text):
        made._applied({"window": 30, "keep": []}, task_vars)


# --- asking


def peer(small: bool, full: bool) -> Data:
    answer = {
        "host": "b",
        "plane": "management",
        "address": "192.0.2.12",
        "size": 1500,
        "error": "",
    }
    return {"peers": [{**answer, "small": small, "full": full}]}


def ask(plugin: Any, task_vars: Data, *answers: Data, excused: tuple[str, ...] = ()) -> Data:
    made, left = plugin(), list(answers)
    made._execute_module = lambda *_args, **_more: left.pop(0) if len(left) > 1 else left[0]
    arguments = {"applied": APPLIED, "excused": excused}
    found: Data = made._asked(arguments, task_vars)
    return found


def test_peers_are_asked_until_they_answer(plugin: Any, task_vars: Data) -> None:
    assert ask(plugin, task_vars, peer(True, False), peer(True, True))["missing"] == []


def test_a_living_peer_that_stays_silent_is_missing(plugin: Any, task_vars: Data) -> None:
    (text,) = ask(plugin, task_vars, peer(False, False))["missing"]
    assert text.startswith("b (192.0.2.12) on plane management")
    assert ask(plugin, task_vars, peer(False, False), excused=("b",))["missing"] == []


def test_a_peer_that_nobody_reaches_is_off_and_warned_of(plugin: Any, task_vars: Data) -> None:
    task_vars["hostvars"]["b"] = {"cairn_host": {"unreachable": True}}
    result = ask(plugin, task_vars, peer(False, False))
    assert (result["missing"], result["off"]) == ([], ["b"])
    assert result["warnings"] == ["b answers on no plane: it seems to be off"]


def test_a_connection_that_is_refused_while_asking_is_tried_again(
    plugin: Any, task_vars: Data
) -> None:
    made = plugin()
    answers = iter([None, None, peer(True, True)])

    def execute(_module: str, **_more: Any) -> Data:
        if (answer := next(answers)) is None:
            raise AnsibleConnectionFailure("kex_exchange_identification: Connection closed")
        return answer

    made._execute_module = execute
    assert made._asked({"applied": APPLIED, "excused": []}, task_vars)["missing"] == []


def test_one_that_nobody_gets_through_to_while_asking_is_lost(plugin: Any, task_vars: Data) -> None:
    made = plugin()

    def execute(_module: str, **_more: Any) -> Data:
        raise AnsibleConnectionFailure("no route to host")

    made._execute_module = execute
    with pytest.raises(AnsibleConnectionFailure):
        made._asked({"applied": APPLIED, "excused": []}, task_vars)


# --- confirming


def confirm(made: Any, task_vars: Data, **missing: list[str]) -> Data:
    asked = {host: {"missing": texts} for host, texts in missing.items()}
    found: Data = made._confirmed({"asked": asked, "applied": APPLIED}, task_vars)
    return found


def test_it_is_kept_when_every_peer_of_every_host_answered(plugin: Any, task_vars: Data) -> None:
    made = plugin(confirm=[{"changed": False}])
    assert confirm(made, task_vars, a=[], b=[]) == {"changed": False}
    assert made.asked == ["confirm"]


def test_a_connection_that_is_refused_while_confirming_is_tried_again(
    plugin: Any, task_vars: Data
) -> None:
    made = plugin(confirm=[None, None, {"changed": False}])
    assert confirm(made, task_vars, a=[]) == {"changed": False}
    assert made.asked == ["confirm"] * 3


def test_a_host_that_the_revert_does_not_reach_is_waited_for(plugin: Any, task_vars: Data) -> None:
    made = plugin(revert=[None], status=[None, status(armed=False)])
    with pytest.raises(AnsibleActionFail, match="no answer from b"):
        confirm(made, task_vars, a=["b"])


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ({"a": ["b on plane storage"], "b": []}, "no answer from b on plane storage"),
        ({"a": [], "b": ["a on plane storage"]}, "b did not reach all of theirs"),
    ],
)
def test_it_is_taken_back_everywhere_when_one_host_misses_a_peer(
    plugin: Any, task_vars: Data, missing: dict[str, list[str]], text: str
) -> None:
    made = plugin(revert=[{}], status=[status(applied=True), None, status(armed=False)])
    with pytest.raises(AnsibleActionFail, match=f"{text}.*the host is reachable"):
        confirm(made, task_vars, **missing)
    assert made.asked == ["revert", "status", "status", "status"]


def test_one_that_went_back_to_its_former_address_is_found(plugin: Any, task_vars: Data) -> None:
    made = plugin(revert=[{}], status=[None, status(applied=True), None, status(armed=False)])
    steps = {
        "asked": {"a": {"missing": ["b"]}},
        "applied": APPLIED | {"former_address": "192.0.2.200"},
    }
    with pytest.raises(AnsibleActionFail, match="no answer from b"):
        made._confirmed(steps, task_vars)
    assert made.asked == ["revert", *["status", "at 192.0.2.200", "status"] * 2]


def test_a_host_that_does_not_restore_its_network_is_an_error(plugin: Any, task_vars: Data) -> None:
    made = plugin(revert=[{}], status=[status()])
    with pytest.raises(AnsibleActionFail, match="did not restore its old network"):
        confirm(made, task_vars, a=["b"])
