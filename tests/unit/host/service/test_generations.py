"""Staging, switching and going back, in a folder that stands for a host."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from cairn_host import errors, files, lock, paths, system, wire
from cairn_host.probe import generations
from cairn_host.service import health, staging, switching

from . import fakehost
from .fakehost import UNIT, described_unit, manifest


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Cairn's places below tmp_path, and a systemd that only remembers."""
    return fakehost.install(tmp_path, monkeypatch)


def drift(_host):
    """Sentences on what the host lacks of the generation in force."""
    return [why["text"] for why in generations.read_state()["services"]["svc"]["drift"]]


def bring(host, ident, **how):
    staging.stage(manifest(host, ident, **how))
    return switching.switch("svc", ident)


def test_staging_touches_nothing_that_runs(host):
    staging.stage(manifest(host, "aaa"))
    assert not paths.current("svc").exists()
    assert not paths.etc("svc").exists()
    assert not (host.root / "outside").exists()
    assert host.calls == []


def test_staging_twice_writes_once(host):
    assert staging.stage(manifest(host, "aaa")) is True
    assert staging.stage(manifest(host, "aaa")) is False


def test_a_half_written_generation_is_written_again(host):
    draft = paths.generation("svc", "aaa").with_name(".aaa.draft")
    draft.mkdir(parents=True)
    (draft / "rest").write_text("of a power cut")
    staging.stage(manifest(host, "aaa"))
    assert not (paths.generation("svc", "aaa") / "rest").exists()


def test_the_error_names_the_file_when_the_disk_fills_while_it_stages(host, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.HostError, match=r"/\.aaa\.draft/\S+: No space left on device"):
        staging.stage(manifest(host, "aaa"))
    assert generations.read_state()["services"]["svc"]["staged"] == []


def test_a_generation_whose_manifest_a_power_cut_emptied_is_staged_again(host):
    staging.stage(manifest(host, "aaa"))
    assert generations.read_state()["services"]["svc"]["staged"] == ["aaa"]
    (paths.generation("svc", "aaa") / "manifest.json").write_text("")
    assert generations.read_state()["services"]["svc"]["staged"] == []
    assert staging.stage(manifest(host, "aaa")) is True
    assert generations.read_state()["services"]["svc"]["staged"] == ["aaa"]


def test_what_is_staged_is_on_the_disk_before_it_has_its_name(host, monkeypatch):
    synced = set()

    def fsync(descriptor):
        assert not paths.generation("svc", "aaa").exists()
        synced.add(Path(f"/proc/self/fd/{descriptor}").resolve().name)

    monkeypatch.setattr(files.os, "fsync", fsync)
    staging.stage(manifest(host, "aaa"))
    written = [p for p in paths.generation("svc", "aaa").rglob("*") if p.is_file()]
    assert {name.rsplit(".", 2)[0] for name in synced} == {f".{path.name}" for path in written}
    assert {"manifest.json", "run.service", "svc.conf"} <= {path.name for path in written}


def test_the_switch_puts_everything_in_its_place(host):
    done = bring(host, "aaa")
    assert (paths.etc("svc") / "svc.conf").read_text() == "one\n"
    assert (host.root / "outside" / "svc.d").read_text() == "one\n"
    assert done["restarted"] == ["run.service"]
    wants = paths.UNITS / "multi-user.target.wants" / "run.service"
    assert wants.resolve() == paths.generation("svc", "aaa") / "units" / "run.service"


@pytest.mark.parametrize(
    ("wanted", "found", "asked"),
    [
        (True, "disabled", [["systemctl", "enable", "--quiet", "haproxy.service"]]),
        (True, "enabled", []),
        (False, "enabled", [["systemctl", "disable", "--quiet", "haproxy.service"]]),
        (False, "disabled", []),
    ],
)
def test_debians_units_are_enabled_only_where_they_are_not(host, wanted, found, asked):
    host.enabled["haproxy.service"] = found
    described = manifest(host, "aaa")
    described["units"] = [described_unit("haproxy.service", "1", text=None, enabled=wanted)]
    staging.stage(described)
    switching.switch("svc", "aaa")
    assert [call for call in host.calls if call[1] in ("enable", "disable")] == asked


def test_a_second_switch_restarts_nothing(host):
    bring(host, "aaa")
    assert switching.switch("svc", "aaa")["restarted"] == []


def test_a_unit_with_the_same_inputs_is_left_alone(host):
    bring(host, "aaa", fingerprint="same")
    assert bring(host, "bbb", text="two\n", fingerprint="same")["restarted"] == []
    assert (paths.etc("svc") / "svc.conf").read_text() == "two\n"


def test_a_failing_generation_gives_way_to_the_one_before(host):
    bring(host, "aaa")
    host.broken = {"new.service"}
    with pytest.raises(errors.HostError, match=r"bbb failed; the service runs aaa again"):
        bring(host, "bbb", text="two\n", unit="new.service")
    assert generations.link_name(paths.current("svc")) == "aaa"
    assert (paths.etc("svc") / "svc.conf").read_text() == "one\n"
    assert (host.root / "outside" / "svc.d").read_text() == "one\n"
    assert "run.service" in host.active
    assert not (paths.UNITS / "new.service").exists()
    assert generations.link_name(paths.previous("svc")) is None, "a rollback must not go to bbb"


def test_after_a_failed_upgrade_a_rollback_leads_to_where_it_led_before(host):
    bring(host, "aaa")
    bring(host, "bbb", text="two\n")
    host.broken = {"new.service"}
    with pytest.raises(errors.HostError, match=r"ccc failed; the service runs bbb again"):
        bring(host, "ccc", text="three\n", unit="new.service")
    assert generations.link_name(paths.previous("svc")) == "aaa"


def test_the_return_starts_every_unit_again_that_took_the_new_inputs(host, monkeypatch):
    def both(ident):
        described = manifest(host, ident)
        described["units"] = [
            {**described["units"][0], "unit": name} for name in ("well.service", "broken.service")
        ]
        return described

    def run(command, **how):
        new = generations.link_name(paths.current("svc")) == "bbb"
        host.broken = {"broken.service"} if new else set()
        return host.run(command, **how)

    monkeypatch.setattr(system, "run", run)
    staging.stage(both("aaa"))
    switching.switch("svc", "aaa")
    staging.stage(both("bbb"))
    host.calls.clear()
    with pytest.raises(errors.HostError, match=r"bbb failed; the service runs aaa again"):
        switching.switch("svc", "bbb")
    assert host.restarted() == 2 * ["well.service", "broken.service"]
    assert generations.load_running("svc") == {"well.service": "aaa", "broken.service": "aaa"}


def test_a_unit_that_is_being_restarted_is_not_known_to_run(host, monkeypatch):
    bring(host, "aaa")
    known = []

    def run(command, **how):
        if command[:2] == ["systemctl", "restart"]:
            known.append(generations.load_running("svc"))
        return host.run(command, **how)

    monkeypatch.setattr(system, "run", run)
    bring(host, "bbb", text="two\n")
    assert known == [{}]
    assert generations.load_running("svc") == {"run.service": "bbb"}


def test_a_disk_that_fills_during_the_switch_leads_back_to_the_generation_before(host, monkeypatch):
    bring(host, "aaa")

    def fsync(_descriptor):
        if generations.link_name(paths.current("svc")) == "bbb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", fsync)
    error = r"bbb failed; the service runs aaa again\n.*/svc\.d: No space left on device; make room"
    with pytest.raises(errors.HostError, match=error):
        bring(host, "bbb", text="two\n")
    assert generations.link_name(paths.current("svc")) == "aaa"
    assert generations.load_running("svc") == {"run.service": "aaa"}
    assert [path.name for path in (host.root / "outside").iterdir()] == ["svc.d"]
    assert generations.read_state()["services"]["svc"]["drift"] == []


def test_a_command_without_end_fails_and_shows_what_it_said():
    with pytest.raises(errors.HostError, match=r"^timed out after 1 s: sh -c .*\nhalf way$"):
        system.run(["sh", "-c", "echo half way; exec sleep 60"], timeout=1)


def test_what_the_system_refuses_while_a_host_is_changed_fails_like_any_step(host):
    with (
        pytest.raises(errors.HostError, match=r"^/opt/x: No space left on device; make room"),
        lock.host_lock(),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/opt/x")


def test_the_error_holds_the_journal(host):
    host.broken = {"run.service"}
    with pytest.raises(errors.HostError, match="a line of the journal"):
        bring(host, "aaa")


def test_an_unhealthy_unit_fails_the_switch(host, monkeypatch):
    bring(host, "aaa")
    answers = iter(["GET / answers 503", None])
    monkeypatch.setattr(health, "wait", lambda _unit, _check: next(answers))
    bad = manifest(host, "bbb")
    bad["units"][0]["health"] = {"http": "/"}
    staging.stage(bad)
    with pytest.raises(errors.HostError, match="answers 503"):
        switching.switch("svc", "bbb")
    assert generations.link_name(paths.current("svc")) == "aaa"


def test_a_switch_cut_off_before_the_restart_is_finished_by_the_next(host):
    bring(host, "aaa")
    staging.stage(manifest(host, "bbb", text="two\n"))
    host.calls.clear()
    files.link_atomic(paths.current("svc"), paths.generation("svc", "bbb"))  # power fails here
    drift = generations.read_state()["services"]["svc"]["drift"]
    assert any("older inputs" in why["text"] for why in drift)
    assert switching.switch("svc", "bbb")["restarted"] == ["run.service"]
    assert generations.read_state()["services"]["svc"]["drift"] == []


RELOAD = ["systemctl", "daemon-reload"]


@pytest.mark.parametrize("state", ["started", "idle"])
def test_systemd_reads_a_unit_of_another_text_before_it_is_restarted(host, state):
    bring(host, "aaa", state=state)
    host.loaded.add("run.service")
    host.calls.clear()
    bring(host, "bbb", state=state, unit_text=UNIT.replace("true", "false"))
    restart = ["systemctl", "restart", "run.service"]
    asked = [call for call in host.calls if call in (RELOAD, restart)]
    assert asked == [RELOAD, restart][: 2 if state == "started" else 1]
    host.calls.clear()
    switching.switch("svc", "aaa")
    assert RELOAD in host.calls, "going back is a change too"


def test_a_unit_of_the_same_text_keeps_its_age_and_systemd_reads_nothing(host):
    bring(host, "aaa")
    unit = paths.UNITS / "run.service"
    os.utime(unit, (1000, 1000))
    host.calls.clear()
    bring(host, "bbb", text="two\n")
    assert RELOAD not in host.calls
    assert unit.stat().st_mtime == 1000


def test_a_switch_cut_off_before_systemd_has_read_the_unit_is_finished_by_the_next(
    host, monkeypatch
):
    bring(host, "aaa", state="idle")
    host.loaded.add("run.service")
    staging.stage(manifest(host, "bbb", state="idle", unit_text=UNIT.replace("true", "false")))
    with monkeypatch.context() as patched:
        patched.setattr(switching, "install", lambda *_: 1 / 0)  # power fails here
        with pytest.raises(ZeroDivisionError):
            switching.apply("svc", generations.load_manifest("svc", "bbb"))
    host.calls.clear()
    switching.switch("svc", "bbb")
    assert RELOAD in host.calls


def test_a_drop_in_that_systemd_has_not_read_when_a_switch_was_cut_off_is_read_by_the_next(
    host, monkeypatch
):
    bring(host, "aaa", state="idle", unit_text="", dropin="[Unit]\n")
    host.loaded.add("run.service")
    after = manifest(host, "bbb", state="idle", unit_text="", dropin="[Unit]\nAfter=x.service\n")
    staging.stage(after)
    with monkeypatch.context() as patched:
        patched.setattr(system, "must", lambda *_: 1 / 0)  # power fails at daemon-reload
        with pytest.raises(ZeroDivisionError):
            switching.apply("svc", generations.load_manifest("svc", "bbb"))
    host.calls.clear()
    switching.switch("svc", "bbb")
    assert RELOAD in host.calls


@pytest.mark.parametrize("loaded", [False, True])
def test_systemd_reads_all_units_again_only_where_it_has_read_the_changed_one(host, loaded):
    host.loaded = {"run.service"} if loaded else {"other.service"}
    bring(host, "aaa", dropin="[Unit]\n")
    assert (RELOAD in host.calls) is loaded


def test_rolling_back_is_switching_to_the_previous(host):
    bring(host, "aaa")
    bring(host, "bbb", text="two\n")
    switching.switch("svc", generations.link_name(paths.previous("svc")))
    assert (paths.etc("svc") / "svc.conf").read_text() == "one\n"
    assert generations.link_name(paths.previous("svc")) == "bbb"


def rolled_back():
    return generations.read_services(["svc"], [])["svc"]["rolled_back"]


def test_a_host_remembers_that_its_last_change_was_a_rollback(host):
    bring(host, "aaa")
    bring(host, "bbb", text="two\n")
    assert not rolled_back()
    switching.switch("svc", "aaa", rollback=True)
    assert rolled_back()
    switching.switch("svc", "bbb", rollback=True)
    assert not rolled_back(), "it has gone forward"
    switching.switch("svc", "aaa", rollback=True)
    bring(host, "bbb", text="two\n")
    assert not rolled_back(), "the inventory asked for the newer one"


def test_a_rollback_that_failed_was_none(host):
    bring(host, "aaa", unit="old.service")
    bring(host, "bbb", text="two\n")
    host.broken = {"old.service"}
    with pytest.raises(errors.HostError, match=r"aaa failed; the service runs bbb again"):
        switching.switch("svc", "aaa", rollback=True)
    assert not rolled_back()


@pytest.mark.parametrize("cut", ["flip", "act"])
def test_a_rollback_that_was_cut_off_goes_on_towards_the_same_generation(host, monkeypatch, cut):
    class PowerCut(BaseException):
        """Nothing of the module runs after it."""

    def stop(*_):
        raise PowerCut

    bring(host, "aaa")
    bring(host, "bbb", text="two\n")
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(switching, cut, stop)
        switching.switch("svc", "aaa", rollback=True)
    links = [generations.link_name(path("svc")) for path in (paths.current, paths.previous)]
    assert links == (["bbb", "aaa"] if cut == "flip" else ["aaa", "bbb"])
    assert rolled_back() is (cut == "act")


def test_units_that_are_no_more_are_stopped_and_removed(host):
    bring(host, "aaa", unit="old.service")
    done = bring(host, "bbb", unit="new.service")
    assert done["removed"] == ["unit old.service"]
    assert not (paths.UNITS / "old.service").exists()


def test_a_changed_file_on_the_host_is_drift_and_is_mended(host):
    bring(host, "aaa")
    (host.root / "outside" / "svc.d").write_text("by hand")
    (why,) = generations.read_state()["services"]["svc"]["drift"]
    assert why["kind"] == "file"
    assert "was changed on the host" in why["text"]
    switching.switch("svc", "aaa")
    assert (host.root / "outside" / "svc.d").read_text() == "one\n"


def test_a_stopped_unit_is_drift(host):
    bring(host, "aaa")
    host.active.clear()
    assert drift(host) == ["run.service is inactive"]


def test_a_folder_of_a_package_moves_aside(host):
    paths.etc("svc").mkdir()
    (paths.etc("svc") / "of-the-package").write_text("x")
    bring(host, "aaa")
    assert (host.root / "etc" / "svc.before-cairn" / "of-the-package").exists()


def test_old_generations_go_but_never_the_two_in_use(host):
    for ident in ("g1", "g2", "g3", "g4", "g5"):
        bring(host, ident, text=ident)
        os.utime(paths.generation("svc", ident), (int(ident[1]), int(ident[1])))
    switching.switch("svc", "g1")
    staging.prune("svc", keep=3)
    left = {p.name for p in paths.generation("svc", "x").parent.iterdir()}
    assert left == {"g1", "g5", "g4"}


def test_a_refused_configuration_leaves_no_generation(host, monkeypatch):
    bad = manifest(host, "aaa")
    bad["validate"] = [["check", "{etc}/svc.conf"]]

    def refuse(command, **_how):
        return subprocess.CompletedProcess(command, 1, "", "unknown option `debgu`")

    monkeypatch.setattr(system, "run", refuse)
    with pytest.raises(errors.HostError, match="debgu"):
        staging.stage(bad)
    assert generations.load_manifest("svc", "aaa") is None


@pytest.fixture
def commands(monkeypatch):
    """Run commands for real, and remember them."""
    real, ran = subprocess.run, []

    def run(command, **_how):
        ran.append(command)
        return real(command, capture_output=True, text=True, check=False)

    monkeypatch.setattr(system, "run", run)
    return ran


def with_static(host, ident, key, command="cp {etc}/svc.conf {generation}/static/page"):
    built = [{"folder": "static", "key": key, "commands": [["sh", "-c", command]]}]
    return {**manifest(host, ident, text=f"{ident}\n"), "build": built}


def test_commands_fill_a_folder_of_the_generation(host, commands):
    staging.stage(with_static(host, "aaa", key="k1"))
    assert (paths.generation("svc", "aaa") / "static" / "page").read_text() == "aaa\n"


def test_a_folder_from_the_same_inputs_is_taken_over_and_outlives_the_old_one(host, commands):
    staging.stage(with_static(host, "aaa", key="k1"))
    commands.clear()
    staging.stage(with_static(host, "bbb", key="k1"))
    assert commands == []
    shutil.rmtree(paths.generation("svc", "aaa"))
    assert (paths.generation("svc", "bbb") / "static" / "page").read_text() == "aaa\n"


def test_a_folder_from_other_inputs_is_made_again(host, commands):
    staging.stage(with_static(host, "aaa", key="k1"))
    staging.stage(with_static(host, "bbb", key="k2"))
    assert (paths.generation("svc", "bbb") / "static" / "page").read_text() == "bbb\n"


def test_a_command_that_fails_leaves_no_generation(host, commands):
    with pytest.raises(errors.HostError, match=r"svc: making static failed.*\n.*no such theme"):
        staging.stage(with_static(host, "aaa", key="k1", command="echo no such theme; exit 1"))
    assert generations.load_manifest("svc", "aaa") is None


def test_secrets_stay_out_of_the_manifest_on_the_host(host):
    staging.stage(manifest(host, "aaa", text="password = tiger\n"))
    assert "tiger" not in (paths.generation("svc", "aaa") / "manifest.json").read_text()


def test_differences_are_shown_without_secrets(host):
    bring(host, "aaa", text="password = tiger\n")
    shown = json.dumps(staging.show_difference(manifest(host, "bbb", text="password = lion\n")))
    assert "tiger" not in shown
    assert "lion" not in shown
    assert "(changed)" in shown


def test_packing_is_reversible():
    value = {"a": [1, "two", None], "ü": "ß"}
    assert wire.unpack(wire.pack(value)) == value


@pytest.mark.parametrize(
    ("status", "updates", "expected"),
    [
        ("install ok installed", [], (["a"], False)),
        ("deinstall ok config-files", [], ([], False)),
        ("install ok half-configured", [], ([], True)),
        ("install ok installed", ["0001"], (["a"], True)),
    ],
)
def test_packages_and_cut_off_package_runs_are_seen(tmp_path, status, updates, expected):
    (tmp_path / "updates").mkdir()
    for name in updates:
        (tmp_path / "updates" / name).write_text("")
    (tmp_path / "status").write_text(f"Package: a\nEssential: yes\nStatus: {status}\nVersion: 1\n")
    assert generations.dpkg_state(tmp_path) == expected


def test_a_virtualenv_without_modules_of_debians_is_not_held_against_it(host, monkeypatch):
    asked = []

    def answers(venv, files):
        ((_path, described),) = files.items()
        asked.append((venv, described["namespaces"]))
        raise errors.HostError("no module named libvirt")

    monkeypatch.setattr(staging, "oslo_answers", answers)
    staging.remember_options("svc-1", [["a"], ["b"]])
    assert asked == [("svc-1", ["a"]), ("svc-1", ["b"])]


def test_a_unit_that_is_on_its_way_is_left_to_arrive(host, monkeypatch):
    # As after a power cut: the run comes while the server recovers.
    bring(host, "aaa")
    host.restarted()
    looks = ["start", "start-post", "running"]

    def states(names):
        sub = looks.pop(0) if len(looks) > 1 else looks[0]
        active = "active" if sub == "running" else "activating"
        return {name: {"ActiveState": active, "SubState": sub} for name in names}

    monkeypatch.setattr(generations, "unit_states", states)
    monkeypatch.setattr(switching, "PAUSE", 0.01)
    bring(host, "aaa")
    assert host.restarted() == []
    assert looks == ["running"]


def two_services(host):
    """Two staged services of a bare host, of a unit each."""
    for role in ("one", "two"):
        staged = {**manifest(host, "aaa", unit=f"{role}.service"), "role": role, "etc": False}
        staging.stage({**staged, "files": []})
    return {"one": "aaa", "two": "aaa"}


def test_what_was_switched_ahead_is_reported_once(host):
    switching.switch_ahead(two_services(host))
    assert host.active == {"one.service", "two.service"}
    done = switching.switched_ahead("two", "aaa")
    assert done["restarted"] == ["two.service"]
    assert done["from"] is None
    assert switching.switched_ahead("two", "aaa") == {}
    assert switching.switched_ahead("one", "bbb") == {}


def test_what_fails_ahead_ends_it_and_fails_again_in_its_turn(host):
    host.broken.add("one.service")
    services = two_services(host)
    switching.switch_ahead(services)
    assert not paths.current("two").exists()
    assert switching.switched_ahead("one", "aaa") == {}
    with pytest.raises(errors.HostError, match=r"one\.service"):
        switching.switch("one", "aaa")
    host.broken.clear()
    assert switching.switch("two", "aaa")["restarted"] == ["two.service"]


def test_a_switch_tells_what_was_done_ahead_and_by_itself(host, script):
    module = script("plugins/modules/cairn_switch.py")
    switching.switch_ahead(two_services(host))
    host.active.clear()  # it has died since
    done = module.result(switching.switched_ahead("one", "aaa"), switching.switch("one", "aaa"))
    assert done["from"] is None
    assert done["restarted"] == ["one.service"]
    assert done["seconds"].keys() == {"one.service"}
    again = switching.switch("one", "aaa")
    assert module.result({}, again) == again


@pytest.mark.parametrize("background", [True, False])
def test_what_goes_on_in_the_background_is_waited_for_as_long_as_it_may_take(
    host, monkeypatch, background
):
    monkeypatch.setattr(lock, "BACKGROUND_WAIT", 30.0)
    held, free = threading.Event(), threading.Event()

    def hold():
        with lock.host_lock(background=background):
            held.set()
            free.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        threading.Timer(1.5, free.set).start()
        if background:
            with lock.host_lock(wait=0.1):
                assert free.is_set()
        else:
            with pytest.raises(errors.HostError, match="for over 0 s"), lock.host_lock(0.1):
                pass
    finally:
        free.set()
        holder.join()
    # The mark goes with its holder.
    with lock.host_lock():
        assert (paths.STATE / "lock").read_text() == ""


def test_a_user_or_group_that_is_missing_is_an_error_without_traceback(host):
    with pytest.raises(errors.HostError, match="there is no user nosuch"):
        system.account_of("nosuch")
    described = {**manifest(host, "aaa"), "user": {"name": "nosuch"}}
    with pytest.raises(errors.HostError, match="svc: there is no group nosuch"):
        staging.stage(described)
    assert generations.read_state()["services"].get("svc", {"staged": []})["staged"] == []
