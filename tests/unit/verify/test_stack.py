"""A stack is made, changed and deleted; whatever is wrong with it is an error."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openstack import exceptions

from cairn.verify import run as verify_run
from cairn.verify import stack as verify_stack
from cairn.verify.run import ProofError, Run
from tests.unit.verify.library import Catalog

ENDPOINT = "https://198.18.30.10:8004/v1/project1"
ADDRESS = "198.18.40.111"


class Stacks(Catalog):
    """Heat with one stack, and as much of nova and neutron as the proof asks for.

    `spoil` changes the stack as heat tells of it; `disks` are those that its instance has.
    """

    def __init__(self, run: Run) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status = ""
        self.spoil: Callable[[Any], None] = lambda stack: None
        self.disks = [1024**3]
        self.left: list[str] = []
        self.silent: list[str] = []
        self.said = f"{run.name}-stack {run.nonce}"
        self.orchestration = self.compute = self.network = self.block_storage = self
        for _, _, listing in verify_stack.OUTSIDE.values():
            setattr(self, listing, partial(self.there, listing))
        self.endpoints = {"orchestration": ENDPOINT}

    def get_ip(self, _: str) -> Any:
        return SimpleNamespace(floating_network_id="outside")

    def create_stack(self, **attributes: Any) -> Any:
        self.asked.append(("create", attributes))
        self.status = "CREATE_COMPLETE"
        return SimpleNamespace(id="stack1")

    def update_stack(self, _: str, **attributes: Any) -> None:
        self.asked.append(("update", attributes))
        self.status = "UPDATE_COMPLETE"

    def delete_stack(self, _: str) -> None:
        self.asked.append(("delete", {}))
        self.status = "DELETE_COMPLETE"

    def get_stack(self, name: str) -> Any:
        if self.status == "DELETE_COMPLETE":
            # The SDK's own word for it: openstack/orchestration/v1/stack.py.
            raise exceptions.NotFoundException(f"No stack found for {name}")
        outputs = {
            "server": "server1",
            "address": ADDRESS,
            "signal": json.dumps({"1": self.said}),
            "signed_signal": json.dumps({"1": self.said}),
        }
        stack = SimpleNamespace(
            status=self.status,
            status_reason="",
            outputs=[{"output_key": k, "output_value": v} for k, v in outputs.items()],
        )
        self.spoil(stack)
        return stack

    def resources(self, _: Any) -> list[Any]:
        """One of each kind, `<listing>1` where it is; the instance is where a failure would be."""
        template = self.asked[-1][1]["template"]["resources"].values()
        return [
            SimpleNamespace(
                name=kind.rpartition("::")[2].lower(),
                resource_type=kind,
                status="CREATE_FAILED" if kind == "OS::Nova::Server" else "CREATE_COMPLETE",
                status_reason="No valid host",
                physical_resource_id=f"{verify_stack.OUTSIDE[kind][2]}1",
            )
            for kind in dict.fromkeys(resource["type"] for resource in template)
            if kind in verify_stack.OUTSIDE and kind not in self.silent
        ]

    def there(self, listing: str) -> list[Any]:
        """What a service lists: things of others, and what the stack left."""
        return [SimpleNamespace(id=f"{listing}0"), *(SimpleNamespace(id=i) for i in self.left)]

    def page_is_open(self) -> bool:
        rules = self.asked[-1][1]["template"]["resources"]["group"]["properties"]["rules"]
        return any(rule["protocol"] == "tcp" for rule in rules)

    def fetch(self, address: str, path: str) -> str | None:
        assert address == ADDRESS
        if not self.page_is_open():
            return None
        return json.dumps([{"name": "vdb", "bytes": size} for size in self.disks])


@pytest.fixture
def run() -> Run:
    made = verify_run.new_run()
    made.ids.update(image="image1", flavor="flavor1", floating_ip="ip1")
    made.services = ["block-storage", "orchestration"]
    return made


@pytest.fixture
def stacks(run: Run, monkeypatch: pytest.MonkeyPatch) -> Stacks:
    made = Stacks(run)
    monkeypatch.setattr(verify_stack, "user_cloud", lambda admin, run: made)
    monkeypatch.setattr(verify_stack, "pings", lambda address: address == ADDRESS)
    monkeypatch.setattr(verify_stack, "fetch", made.fetch)
    monkeypatch.setattr(verify_run.time, "sleep", lambda seconds: None)
    return made


def prove(run: Run, ca_file: str | None = None) -> list[str]:
    return [found.title for found in verify_stack.stack(None, run, ca_file, 0)]


def test_a_stack_is_made_changed_and_deleted(stacks: Stacks, run: Run) -> None:
    assert prove(run) == [
        "stack created",
        "signal from inside, by a token",
        "signal from inside, by a signed URL",
        "stack updated",
        "stack deleted",
    ]
    assert [verb for verb, _ in stacks.asked] == ["create", "update", "delete"]
    assert stacks.asked[0][1]["parameters"]["external"] == "outside"
    assert run.ids["stack"] == "stack1"


def test_a_stack_that_was_begun_before_is_waited_for(stacks: Stacks, run: Run) -> None:
    assert "stack1 is being created" in verify_stack.create(None, run, None, 0)
    assert [verb for verb, _ in stacks.asked] == ["create"]
    assert "stack created" in prove(run)
    assert [verb for verb, _ in stacks.asked] == ["create", "update", "delete"]


def test_without_cinder_the_stack_has_no_volume(stacks: Stacks, run: Run) -> None:
    run.services, stacks.disks = ["orchestration"], []
    prove(run)
    assert "volume" not in stacks.asked[0][1]["template"]["resources"]


def test_a_failed_resource_is_named_with_its_reason(stacks: Stacks, run: Run) -> None:
    stacks.spoil = lambda stack: setattr(stack, "status", "CREATE_FAILED")
    with pytest.raises(ProofError, match=r"server \(OS::Nova::Server\): No valid host"):
        prove(run)


def test_a_signal_that_is_not_the_instances_is_refused(stacks: Stacks, run: Run) -> None:
    stacks.said = "somebody-else 1234"
    with pytest.raises(ProofError, match=r"the wait condition signal has .*somebody-else"):
        prove(run)


def test_an_update_that_replaces_the_instance_is_refused(stacks: Stacks, run: Run) -> None:
    def other(stack: Any) -> None:
        if stack.status == "UPDATE_COMPLETE":
            stack.outputs[0]["output_value"] = "server2"

    stacks.spoil = other
    with pytest.raises(ProofError, match="replaced the instance server1 by server2"):
        prove(run)


def test_an_instance_without_the_stacks_volume_is_an_error(stacks: Stacks, run: Run) -> None:
    stacks.disks = []
    with pytest.raises(ProofError, match=r"further disks of \[\] GiB"):
        prove(run)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("servers1", "instance servers1"),
        ("volumes1", "volume volumes1"),
        ("networks1", "network networks1"),
        ("subnets1", "subnet subnets1"),
        ("routers1", "router routers1"),
        ("ports1", "port ports1"),
        ("ips1", "floating IP ips1"),
        ("security_groups1", "security group security_groups1"),
    ],
)
def test_what_a_deleted_stack_leaves_is_named(
    part: str, named: str, stacks: Stacks, run: Run
) -> None:
    stacks.left = [part]
    with pytest.raises(ProofError, match=f"left {named}$"):
        prove(run)


def test_what_heat_does_not_tell_cannot_be_looked_for(stacks: Stacks, run: Run) -> None:
    stacks.silent = ["OS::Neutron::Port"]
    with pytest.raises(ProofError, match="does not list the stack's OS::Neutron::Port"):
        prove(run)


def test_a_port_that_is_open_before_the_update_proves_nothing(
    stacks: Stacks, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_stack, "fetch", lambda address, path: "[]")
    with pytest.raises(ProofError, match="answers, though the stack's port 80 is closed"):
        prove(run)


def test_the_template_refers_to_nothing_that_it_does_not_have() -> None:
    made = verify_stack.template(seconds=60, volume=True, page=True)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            if set(value) == {"get_resource"}:
                return [value["get_resource"]]
            if set(value) == {"get_attr"}:
                return [value["get_attr"][0]]
            if set(value) == {"get_param"}:
                assert value["get_param"] in made["parameters"]
            return [name for part in value.values() for name in references(part)]
        if isinstance(value, list):
            return [name for part in value for name in references(part)]
        return []

    named = references(made["resources"]) + references(made["outputs"])
    named += [r["depends_on"] for r in made["resources"].values() if "depends_on" in r]
    assert set(named) <= set(made["resources"])
    assert {"server", "network", "volume", "address"} <= set(made["resources"])


def test_the_instances_script_is_shell_and_says_what_is_expected(tmp_path: Path) -> None:
    script = tmp_path / "user_data"
    text = verify_stack.user_data(ENDPOINT, "PEM\n", "nonce7")
    assert "@" not in text.replace('"$@"', "")
    text = text.replace("/run/ca.pem", str(tmp_path / "ca.pem"))
    script.write_text(
        f'send() {{ echo "$1 $2 $3 $4"; }}\nhostname() {{ echo vm.novalocal; }}\n{text}'
    )
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("POST %endpoint% {") and first.endswith("} X-Auth-Token: %token%")
    assert json.loads(first.split(" ", 2)[2].partition(" X-Auth")[0])["data"] == "vm nonce7"
    assert json.loads(second.split(" ", 2)[2])["Data"] == "vm nonce7"
    assert (tmp_path / "ca.pem").read_text() == "PEM\n"


def test_the_instance_gets_the_address_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_stack.socket, "gethostbyname", lambda name: "203.0.113.10")
    text = verify_stack.user_data("https://cloud.example:8004/v1", "PEM", "n")
    assert "echo '203.0.113.10 cloud.example' >>/etc/hosts" in text
    assert "/etc/hosts" not in verify_stack.user_data(ENDPOINT, "PEM", "n")


# -- what a killed run left ----------------------------------------------------------------------


class Admin(Catalog):
    """An administrator's connection: the stacks of one project, seen from inside only."""

    current_user_id = "admin1"

    def __init__(self, *stacks: Any) -> None:
        self.stacks = list(stacks)
        self.granted: list[tuple[str, str]] = []
        self.endpoints = {"orchestration": ENDPOINT}
        self.identity = SimpleNamespace(
            find_role=lambda name, ignore_missing: name,
            assign_project_role_to_user=lambda project, user, role: self.granted.append(
                (project, user)
            ),
        )

    def connect_as(self, project_id: str) -> Any:
        assert (project_id, self.current_user_id) in self.granted

        def gone(stack: Any, *_: Any, **__: Any) -> None:
            assert stack not in self.stacks
            raise exceptions.NotFoundException("gone")

        orchestration = SimpleNamespace(
            stacks=lambda: list(self.stacks),
            delete_stack=self.stacks.remove,
            wait_for_status=gone,
        )
        return SimpleNamespace(orchestration=orchestration)


def test_left_stacks_are_deleted_from_inside_their_project() -> None:
    admin = Admin(SimpleNamespace(name="left", status="CREATE_IN_PROGRESS"))
    assert verify_stack.forget(admin, "project1") == ["stack left"]
    assert admin.stacks == []


def test_a_cloud_without_heat_has_no_stacks_to_forget() -> None:
    admin = Admin(SimpleNamespace(name="left", status="CREATE_COMPLETE"))
    admin.endpoints = {"compute": "https://cloud:8774/v2.1"}
    assert verify_stack.forget(admin, "project1") == []
    assert admin.granted == []


def test_an_update_does_not_replace_the_instance_for_its_handles_next_token() -> None:
    resources = verify_stack.template(seconds=60, volume=False, page=True)["resources"]
    assert resources["server"]["properties"]["user_data_update_policy"] == "IGNORE"
