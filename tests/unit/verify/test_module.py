"""The module keeps a run between its phases, and never shows its secrets."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar

from cairn.verify import playbook
from cairn.verify import run as verify_run
from cairn.verify.run import ProofError, Run

BEGAN = 1764000000.0


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("plugins/modules/cairn_verify.py")


@pytest.fixture
def run() -> Run:
    made = verify_run.new_run()
    made.ids.update(server="id1", request="req-local", project="p", user="u")
    made.times.update(began=BEGAN, accepted=BEGAN + 1, active=BEGAN + 40)
    made.host = made.ids["host"] = "compute1"
    made.services = ["compute", "identity"]
    return made


def test_a_run_is_kept_for_its_owner_only(module: ModuleType, run: Run, tmp_path: Path) -> None:
    state = tmp_path / "verify.json"
    module.save(state, run)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert module.load(state) == run
    assert list(tmp_path.iterdir()) == [state]


def test_what_is_shown_of_a_run_has_no_secret(module: ModuleType, run: Run) -> None:
    shown = str(module.public(run))
    assert run.password not in shown
    assert run.nonce not in shown
    assert "req-local" in shown


def test_what_a_failed_phase_learnt_is_kept(module: ModuleType, run: Run, tmp_path: Path) -> None:
    state = tmp_path / "verify.json"

    def work() -> None:
        run.ids["port"] = "p1"
        raise ProofError("no ping")

    with pytest.raises(ProofError):
        module.kept(state, run, work)
    assert module.load(state).ids["port"] == "p1"


def test_a_run_is_not_disturbed_by_a_second_one(
    module: ModuleType, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "verify.json"
    module.refuse_second(state)
    state.write_text('{"name": "of an older Cairn", "colour": "red"}')
    module.refuse_second(state)
    run.owner = "100.5"
    module.save(state, run)
    monkeypatch.setattr(module.playbook, "lives", lambda name: name == "100.5")
    monkeypatch.setattr(module.playbook, "owner", lambda: "200.7")
    with pytest.raises(ProofError, match=r"goes on \(process 100\)"):
        module.refuse_second(state)
    monkeypatch.setattr(module.playbook, "owner", lambda: "100.5")
    module.refuse_second(state)
    monkeypatch.setattr(module.playbook, "lives", lambda _: False)
    monkeypatch.setattr(module.playbook, "owner", lambda: "200.7")
    module.refuse_second(state)


def test_a_playbook_is_known_by_number_and_start(tmp_path: Path) -> None:
    def process(number: int, parent: int, started: int, command: str) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stat").write_text(f"{number} (a) b) S {parent} {'0 ' * 17}{started} 0\n")
        (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode())

    process(10, 1, 111, "bash")
    process(20, 10, 222, "python ansible-playbook site.yml")
    process(30, 20, 333, "python ansible-playbook site.yml")
    process(40, 30, 444, "python module.py")
    assert playbook.owner(40, tmp_path) == "20.222"
    assert playbook.owner(10, tmp_path) == ""
    assert playbook.lives("20.222", tmp_path)
    assert not playbook.lives("20.223", tmp_path)
    assert not playbook.lives("50.1", tmp_path)
    assert not playbook.lives("", tmp_path)


def test_hosts_are_asked_for_the_requests_window(module: ModuleType, run: Run) -> None:
    window = module.public(run)
    assert window["since"] < BEGAN < window["until"]
    assert window["wanted"] == [run.request, "req-local", "id1"]


@pytest.mark.parametrize(("state", "known"), [("running", True), ("paused", False)])
def test_only_a_running_domain_is_evidence(
    module: ModuleType, run: Run, state: str, known: bool
) -> None:
    domain = {"state": state, "name": "instance-1", "vcpus": 1, "memory_mb": 128}
    trace = module.trace_of(run, {"compute1": {"lines": [], "domain": domain}})
    assert ("domain" in trace.facts) is known


def trace(module: ModuleType, state: Path, report: Path, **changed: Any) -> dict[str, Any]:
    wanted = {"report": str(report), "hosts": {}, "problem": ""} | changed
    result: dict[str, Any] = module.trace(None, state, wanted)
    return result


def test_a_creation_without_evidence_fails_with_the_table_and_leaves_its_report(
    module: ModuleType, run: Run, tmp_path: Path
) -> None:
    state, report = tmp_path / "verify.json", tmp_path / "report.json"
    module.save(state, run)
    with pytest.raises(ProofError) as raised:
        trace(module, state, report, hosts={"controller1": {"unreachable": True}})
    text = str(raised.value)
    assert "✗  1" in text
    assert "no journal could be read on: controller1" in text
    assert '"active": 40.0' in report.read_text()
    assert run.password not in report.read_text()


def test_a_run_that_never_began_gives_its_reason(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="Make the test guest: no network"):
        trace(module, tmp_path / "none", tmp_path / "r", problem="Make the test guest: no network")


def test_a_phase_without_a_run_says_so(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="no run was prepared"):
        module.load(tmp_path / "verify.json")


def test_a_lost_endpoint_is_an_error_that_names_the_service(module: ModuleType, run: Run) -> None:
    run.wanted = {"compute": "nova", "orchestration": "heat"}
    (text,) = module.public(run)["missing"]
    assert "no public endpoint of orchestration, though the site has heat" in text
    run.services.append("orchestration")
    assert module.public(run)["missing"] == []
    run.services.clear()
    assert module.public(run)["missing"] == []  # no catalog was asked for yet


# --- what the role makes of that ---------------------------------------------------------------


@pytest.fixture
def role(root: Path) -> Callable[..., Any]:
    """Template a variable of the role, with the run's services and those that the site chose."""
    init_plugin_loader()
    filter_loader.add_directory(str(root / "filter_plugins"))

    def get(name: str, chosen: list[str], services: list[str]) -> Any:
        loader = DataLoader()
        files = [root / "roles/verify" / part / "main.yml" for part in ("defaults", "vars")]
        known = [loader.load_from_file(str(file), trusted_as_template=True) for file in files]
        facts = {"__verify_site": {"services": chosen}, "__verify_run": {"services": services}}
        variables = {key: value for part in (*known, facts) for key, value in part.items()}
        return Templar(loader=loader, variables=variables).template(variables[name])

    return get


def test_only_what_the_site_has_not_is_left_out(role: Callable[..., Any]) -> None:
    assert role("__verify_left_out", ["cinder", "heat"], []) == ["objects", "meters"]
    every = ["ceilometer", "cinder", "gnocchi", "heat", "swift"]
    assert role("__verify_left_out", every, []) == []


def test_what_the_catalog_lacks_is_not_tried_and_what_the_site_gave_up_neither(
    role: Callable[..., Any],
) -> None:
    served = ["block-storage", "object-store"]
    assert list(role("__verify_there", ["cinder", "heat"], served)) == ["volumes"]


def test_how_soon_metadata_are_answered_is_measured_before_a_stack_is_asked_for(
    role: Callable[..., Any],
) -> None:
    served = ["network", "block-storage", "orchestration"]
    steps = list(role("__verify_steps", ["cinder", "heat"], served))
    assert steps == ["networks", "create_stack", "volumes", "stack"]
