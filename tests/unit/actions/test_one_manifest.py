"""A manifest is made once for a host in a run: when the run decides, and not in each task."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from cryptography.fernet import Fernet

from cairn.service import manifest_cache, model, registry
from cairn.service.model import Model

SERVICES = ("cinder", "swift")
CHANGING = {"nova", "swift"}  # they ask what hosts say, which tasks change

Act = Callable[..., dict[str, Any]]


class Run:
    """The tasks of a run for one host, which is never called; `made` counts manifests."""

    def __init__(self, script: Any, variables: dict[str, Any]) -> None:
        self.script = script
        self.variables = variables
        self.made: Counter[str] = Counter()

    def action(self, name: str, **arguments: Any) -> Any:
        action = object.__new__(self.script(f"plugins/action/{name}.py").ActionModule)
        action._task = SimpleNamespace(args=arguments, check_mode=False, action=name, diff=False)
        action._templar = Templar(loader=DataLoader(), variables=self.variables)
        action.add_group = lambda *_, **__: None
        action.call = lambda *_: {"changed": True, "state": {}}
        action.transfer_uv = lambda _: {}
        action.register_host_variables = self.variables.update
        return action

    def task(self, name: str, **arguments: Any) -> Any:
        return self.action(name, **arguments).work(self.variables)


@pytest.fixture
def begun(
    script: Any,
    make_model: Callable[..., Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """A run on a controller that has nothing yet."""
    known = make_model("controller1", controllers=3, services=SERVICES)
    state = {"cpus": 2, "cpu_flags": [], "os": {"id": "debian", "version": "13"}, "arch": "x86_64"}
    run = Run(
        script,
        {
            "inventory_hostname": "controller1",
            "cairn_site": known.site,
            "cairn_secrets": known.secrets,
            "cairn_host": {**state, "python": "3.13.5", "services": {}, "records": {}},
            "glance_images_shared": True,
            "hostvars": {name: {"cairn_host": {}} for name in known.site["hosts"]},
            "groups": known.site["groups"],
        },
    )
    build = model.build

    def counted(role: str, *arguments: Any, **keywords: Any) -> Any:
        run.made[role] += 1
        return build(role, *arguments, **keywords)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no virtualenv is packed
    monkeypatch.setattr(model, "build", counted)
    monkeypatch.setattr("cairn.site.precedence.overrides", lambda *_: {})
    return run


def test_a_run_makes_each_manifest_once(begun: Run) -> None:
    stale = list(begun.task("cairn_decide")["stale"])
    assert len(stale) > 10
    assert begun.made == Counter(stale)
    begun.task("cairn_stage", only="packages")
    for role in stale:
        begun.task("cairn_stage", services=[role])
        begun.task("cairn_migrate", service=role, phase="before")
        begun.task("cairn_switch_ahead", services=[role])
        begun.task("cairn_switch", service=role)
        begun.task("cairn_drain", service=role, state="drain")
        begun.task("cairn_migrate", service=role, phase="after")
    again = {role for role, count in begun.made.items() if count > 1}
    assert again == CHANGING & set(stale)


def test_what_is_kept_is_what_would_be_made(begun: Run) -> None:
    stale = begun.task("cairn_decide")["stale"]
    texts = begun.variables["cairn_manifests"]
    assert stale.keys() == texts.keys() | CHANGING
    fresh = begun.action("cairn_stage").model({**begun.variables, "cairn_manifests": None})
    for role, text in texts.items():
        assert manifest_cache.unseal(text) == json.loads(json.dumps(fresh.manifest(role)))


def test_deciding_again_makes_them_again(begun: Run) -> None:
    begun.task("cairn_decide")
    begun.task("cairn_decide")
    assert set(begun.made.values()) == {2}


def test_another_hosts_manifests_are_not_taken(begun: Run) -> None:
    stale = begun.task("cairn_decide")["stale"]
    begun.variables["inventory_hostname"] = "controller2"
    begun.variables["cairn_manifests"] = {}
    begun.task("cairn_switch", service=next(iter(stale)))
    assert begun.made[next(iter(stale))] == 2


def test_what_is_kept_shows_no_secret_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_cache, "lasting", lambda _: True)
    made = {"keystone": {"files": [{"content": "password = tiger-and-lion"}]}}
    sealed = manifest_cache.seal(made, ["keystone", "glance"])
    assert manifest_cache.unseal(sealed["keystone"]) == made["keystone"]
    assert list(sealed) == ["keystone"]
    plain = zlib.compress(json.dumps(made["keystone"]).encode(), 1)
    assert "tiger" not in sealed["keystone"]
    assert plain not in sealed["keystone"].encode()
    monkeypatch.setattr(manifest_cache, "SEAL", Fernet(Fernet.generate_key()))
    assert manifest_cache.unseal(sealed["keystone"]) is None
    assert manifest_cache.unseal(None) is None


@pytest.mark.parametrize(
    ("place", "text", "lasts"),
    [
        ("vars/main.yml", "x: '{{ cairn_host.cpus }}'", True),
        ("vars/main.yml", "x: '{{ cairn_host_lines }}'", True),
        ("vars/main.yml", "x: '{{ cairn_host.cpus_online }}'", False),
        ("vars/main.yml", "x: '{{ cairn_host.services }}'", False),
        ("vars/main.yml", "x: '{{ disks | mounts(cairn_host) }}'", False),
        ("defaults/main.yml", "x: '{{ hostvars.a.b }}'", False),
        ("templates/a.j2", "{{ lookup('env', 'X') }}", False),
        ("templates/a.j2", "{{ now() }}", False),
        ("templates/a.j2", "{{ knowing(1) }}", True),
    ],
)
def test_what_a_task_may_change_is_made_again(
    tmp_path: Path, place: str, text: str, lasts: bool
) -> None:
    path = tmp_path / "roles/x" / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert manifest_cache.lasting("x", tmp_path) is lasts


def test_roles_whose_manifests_change_in_a_run_are_known() -> None:
    assert {r for r in registry.descriptions() if not manifest_cache.lasting(r)} == CHANGING
