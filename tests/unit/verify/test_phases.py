"""A run is kept between its phases, and its secrets are never shown."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar
from openstack import exceptions

from cairn.verify import (
    connectivity,
    evidence,
    meters,
    network,
    objects,
    phases,
    playbook,
    stack,
    volume,
    workers,
)
from cairn.verify import run as verify_run
from cairn.verify import state as state_file
from cairn.verify.run import ProofError, Run

BEGAN = 1764000000.0


@pytest.fixture
def run() -> Run:
    made = verify_run.new_run()
    made.ids.update(server="id1", request="req-local", project="p", user="u")
    made.times.update(began=BEGAN, accepted=BEGAN + 1, active=BEGAN + 40)
    made.host = made.ids["host"] = "compute1"
    made.services = ["compute", "identity"]
    return made


def test_a_run_is_kept_for_its_owner_only(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "verify.json"
    state_file.save(state, run)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert state_file.load(state) == run
    assert list(tmp_path.iterdir()) == [state]


def test_what_is_shown_of_a_run_has_no_secret(run: Run) -> None:
    shown = str(evidence.public(run))
    assert run.password not in shown
    assert run.nonce not in shown
    assert "req-local" in shown


def test_what_a_failed_phase_learnt_is_kept(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "verify.json"

    def work() -> None:
        run.ids["port"] = "p1"
        raise ProofError("no ping")

    with pytest.raises(ProofError):
        state_file.kept(state, run, work)
    assert state_file.load(state).ids["port"] == "p1"


def test_a_run_is_not_disturbed_by_a_second_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "verify.json"
    state_file.refuse_second(state)
    state.write_text('{"name": "of an older Cairn", "colour": "red"}')
    state_file.refuse_second(state)
    run.owner = "100.5"
    state_file.save(state, run)
    monkeypatch.setattr(playbook, "lives", lambda name: name == "100.5")
    monkeypatch.setattr(playbook, "owner", lambda: "200.7")
    with pytest.raises(ProofError, match=r"goes on \(process 100\)"):
        state_file.refuse_second(state)
    monkeypatch.setattr(playbook, "owner", lambda: "100.5")
    state_file.refuse_second(state)
    monkeypatch.setattr(playbook, "lives", lambda _: False)
    monkeypatch.setattr(playbook, "owner", lambda: "200.7")
    state_file.refuse_second(state)


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


def test_hosts_are_asked_for_the_requests_window(run: Run) -> None:
    window = evidence.public(run)
    assert window["since"] < BEGAN < window["until"]
    assert window["wanted"] == [run.request, "req-local", "id1"]


@pytest.mark.parametrize(("state", "known"), [("running", True), ("paused", False)])
def test_only_a_running_domain_is_evidence(run: Run, state: str, known: bool) -> None:
    domain = {"state": state, "name": "instance-1", "vcpus": 1, "memory_mb": 128}
    trace = evidence.trace_of(run, {"compute1": {"lines": [], "domain": domain}})
    assert ("domain" in trace.facts) is known


def trace(state: Path, report: Path, **changed: Any) -> dict[str, Any]:
    wanted = {"report": str(report), "hosts": {}, "problem": ""} | changed
    return phases.follow(None, state, wanted)


def test_a_creation_without_evidence_fails_with_the_table_and_leaves_its_report(
    run: Run, tmp_path: Path
) -> None:
    state, report = tmp_path / "verify.json", tmp_path / "report.json"
    state_file.save(state, run)
    with pytest.raises(ProofError) as raised:
        trace(state, report, hosts={"controller1": {"unreachable": True}})
    text = str(raised.value)
    assert "✗  1" in text
    assert "no journal could be read on: controller1" in text
    assert '"active": 40.0' in report.read_text()
    assert run.password not in report.read_text()


def test_a_run_that_never_began_gives_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="Make the test guest: no network"):
        trace(tmp_path / "none", tmp_path / "r", problem="Make the test guest: no network")


def test_a_phase_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="no run was prepared"):
        state_file.load(tmp_path / "verify.json")


def test_a_lost_endpoint_is_an_error_that_names_the_service(run: Run) -> None:
    run.wanted = {"compute": "nova", "orchestration": "heat"}
    (text,) = evidence.public(run)["missing"]
    assert "no public endpoint of orchestration, though the site has heat" in text
    run.services.append("orchestration")
    assert evidence.public(run)["missing"] == []
    run.services.clear()
    assert evidence.public(run)["missing"] == []  # no catalog was asked for yet


# --- each phase --------------------------------------------------------------------------------

ADMIN = SimpleNamespace(config=SimpleNamespace(config={"cacert": "/ca.pem"}))
PARAMS = {
    **{"image": "/guest.raw", "external": {"keep": "public"}, "services": {"image": "glance"}},
    **{"seconds": 7, "heard": "heard", "event": "event", "dispersion": "d", "location": "here"},
}


@pytest.mark.parametrize(
    ("phase", "home", "name", "with_what"),
    [
        ("boot", verify_run, "boot", [7]),
        ("create_stack", stack, "create", ["/ca.pem", 7]),
        ("pause", meters, "pause", [7]),
        ("reach", connectivity, "reach", ["/ca.pem", 7]),
        ("networks", network, "networks", []),
        ("volumes", volume, "volumes", [7]),
        ("objects", objects, "objects", ["d", "here"]),
        ("stack", stack, "stack", ["/ca.pem", 7]),
        ("meters", meters, "meters", ["heard", "event", 7]),
    ],
)
def test_a_phase_does_its_part_of_the_run_and_shows_what_it_found(
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    tmp_path: Path,
    phase: str,
    home: ModuleType,
    name: str,
    with_what: list[Any],
) -> None:
    def part(admin: Any, of: Run, *how: Any) -> Any:
        assert admin is ADMIN and of == run and list(how) == with_what
        of.ids["port"] = "p1"
        lines = phase in ("boot", "create_stack", "pause")
        return "well" if lines else [SimpleNamespace(title="it", text="answers")]

    state = tmp_path / "verify.json"
    state_file.save(state, run)
    monkeypatch.setattr(home, name, part)
    result = phases.PHASES[phase](ADMIN, state, PARAMS)
    assert result["lines"] in (["well"], ["✓ it: answers"])
    assert result["run"]["ids"]["port"] == state_file.load(state).ids["port"] == "p1"


@pytest.fixture
def preparing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts of `prepare` in their order, each a line."""
    calls: list[str] = []

    def part(line: str, *args: Any) -> str:
        calls.append(line)
        if isinstance(args[1], Run):
            args[1].ids[line] = "made"
        return line

    monkeypatch.setattr(verify_run, "sweep", lambda *_, **__: ["network cairn-verify-0"])
    monkeypatch.setattr(verify_run, "prepare", lambda *args: part("project", *args))
    monkeypatch.setattr(workers, "settle", lambda *args: [part("services", *args)])
    monkeypatch.setattr(volume, "prepare", lambda *args: part("disk", *args))
    return calls


def test_leftovers_go_before_anything_is_made(preparing: list[str], tmp_path: Path) -> None:
    state = tmp_path / "verify.json"
    result = phases.prepare(ADMIN, state, PARAMS)
    removed = "removed from an earlier run: network cairn-verify-0"
    assert result["lines"] == [removed, "project", "services", "disk"]
    run = state_file.load(state)
    assert run.wanted == {"image": "glance"}
    assert run.ids.keys() == {"project", "disk"}


def test_what_was_made_is_known_when_a_service_does_not_report(
    preparing: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def settle(*_: Any) -> None:
        raise ProofError("cinder-volume does not report")

    monkeypatch.setattr(workers, "settle", settle)
    params = PARAMS | {"state": str(tmp_path / "verify.json")}
    with pytest.raises(ProofError, match="does not report"):
        phases.prepare(ADMIN, tmp_path / "verify.json", params)
    assert preparing == ["project"]
    assert phases.known(params)["run"]["ids"] == {"project": "made"}


def test_nothing_of_a_run_stays_known_when_all_was_removed(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    state = tmp_path / "verify.json"
    state_file.save(state, run)
    removed: list[str] = ["server a", "project b"]

    def sweep(admin: Any, others: Any, first: Any) -> list[str]:
        assert admin is ADMIN and stack.forget in first and stack.forget not in others
        return removed

    monkeypatch.setattr(verify_run, "sweep", sweep)
    assert phases.clean(ADMIN, state, {}) == {"lines": ["removed: server a, project b"], "run": {}}
    assert phases.known({"state": str(state)}) == {}
    removed.clear()
    assert phases.clean(ADMIN, state, {})["lines"] == ["removed: nothing was left"]


def test_an_error_of_the_cloud_says_which_cloud_was_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise exceptions.SDKException("no route")

    monkeypatch.setattr(verify_run, "admin_cloud", lambda *_: ADMIN)
    monkeypatch.setitem(phases.PHASES, "boot", fail)
    params = {"phase": "boot", "config": "/c.yaml", "cloud": "mine", "state": str(tmp_path / "s")}
    with pytest.raises(ProofError, match=r"^asking cloud mine: no route"):
        phases.work(params)
    other = Run(name="n", password="p", nonce="n", request="r", owner="100.5")
    state_file.save(tmp_path / "s", other)
    monkeypatch.setattr(playbook, "lives", lambda _: True)
    with pytest.raises(ProofError, match="another run"):
        phases.work(params)


def test_the_module_has_the_phases(script: Callable[[str], ModuleType]) -> None:
    assert list(script("plugins/modules/cairn_verify.py").PHASES) == list(phases.PHASES)


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
