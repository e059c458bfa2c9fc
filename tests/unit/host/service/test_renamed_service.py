"""A service that was renamed after it was deployed: nothing is lost, no unit is restarted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cairn.service import registry
from cairn_host import errors, paths, records
from cairn_host.probe import generations
from cairn_host.service import health, staging, switching

from . import fakehost
from .fakehost import Systemd, manifest

LINKS = ("units/run.service", "etc/svc")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """A host on which the last release deployed the service `svc` by the name `before`."""
    made = fakehost.install(tmp_path, monkeypatch)
    monkeypatch.setattr(paths, "FORMER", {})
    monkeypatch.setattr(paths, "etc", lambda _role: tmp_path / "etc/svc")
    staging.stage({**manifest(made, "aaa"), "role": "before"})
    switching.switch("before", "aaa")
    monkeypatch.setattr(paths, "FORMER", {"svc": "before"})
    made.calls.clear()
    return made


def state() -> dict[str, object]:
    """What the host says of the service."""
    services = generations.read_state()["services"]
    assert list(services) == ["svc"]
    found: dict[str, object] = services["svc"]
    return found


def leads_to(host: Systemd) -> set[str]:
    """The folders below services/ that links of the system lead to."""
    return {
        (host.root / link).readlink().relative_to(paths.SERVICES).parts[0] for link in LINKS
    } | {paths.current("svc").readlink().relative_to(paths.SERVICES).parts[0]}


def test_it_is_known_by_its_new_name_before_anything_is_done(host: Systemd) -> None:
    found = state()
    assert (found["current"], found["drift"]) == ("aaa", [])
    assert leads_to(host) == {"before"}


def test_a_switch_gives_its_folder_the_new_name_and_restarts_only_what_changed(
    host: Systemd,
) -> None:
    staging.stage(manifest(host, "bbb", fingerprint="aaa"))
    done = switching.switch("svc", "bbb")
    assert (done["from"], done["restarted"], done["removed"]) == ("aaa", [], [])
    assert leads_to(host) == {"svc"}
    found = state()
    assert (found["current"], found["previous"], found["drift"]) == ("bbb", "aaa", [])
    # Scripts of an operator's, and the last release of Cairn, find what they look for.
    assert (paths.SERVICES / "before/current/manifest.json").samefile(
        paths.SERVICES / "svc/current/manifest.json"
    )


def test_it_can_go_back_to_the_generation_of_the_last_release(host: Systemd) -> None:
    staging.stage(manifest(host, "bbb", "two\n"))
    switching.switch("svc", "bbb")
    assert switching.switch("svc", "aaa")["restarted"] == ["run.service"]
    assert (host.root / "etc/svc/svc.conf").read_text() == "one\n"
    assert state()["drift"] == []


def test_a_new_generation_that_does_not_start_leaves_the_old_one_running(
    host: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = iter(["it hangs"])
    monkeypatch.setattr(health, "wait", lambda _unit, _check: next(problems, None))
    staging.stage(manifest(host, "bbb", "two\n"))
    with pytest.raises(errors.HostError, match="the service runs aaa again"):
        switching.switch("svc", "bbb")
    found = state()
    assert (found["current"], found["drift"]) == ("aaa", [])
    assert (host.root / "etc/svc/svc.conf").read_text() == "one\n"


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_that_was_cut_off_is_finished_by_the_next(
    host: Systemd, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    staging.stage(manifest(host, "bbb", "two\n"))

    class PowerCutError(Exception):
        pass

    def cut(*_arguments: object, **_keywords: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as power, pytest.raises(PowerCutError):
        power.setattr(*(switching, "apply") if moved else (Path, "symlink_to"), cut)
        switching.switch("svc", "bbb")
    assert switching.switch("svc", "bbb")["restarted"] == ["run.service"]
    assert leads_to(host) == {"svc"}
    assert state()["drift"] == []


def test_what_it_has_to_renew_is_due_when_it_was(host: Systemd) -> None:
    records.record("due-before", "2027")
    assert records.read_records() == {"due-svc": "2027"}
    records.record("due-svc", "2028")
    assert records.read_records() == {"due-svc": "2028"}


def test_a_host_with_nothing_has_nothing_of_either_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = fakehost.install(tmp_path, monkeypatch)
    monkeypatch.setattr(paths, "FORMER", {"svc": "before"})
    assert generations.read_state()["services"] == {}
    staging.stage(manifest(host, "aaa"))
    switching.switch("svc", "aaa")
    assert leads_to(host) == {"svc"}
    assert json.loads(paths.running("svc").read_text()) == {"run.service": "aaa"}
    assert not (paths.SERVICES / "before").exists()


def test_present_names_are_services_and_former_ones_are_not() -> None:
    services = set(registry.descriptions())
    assert set(paths.FORMER) <= services
    assert not set(paths.FORMER.values()) & services
