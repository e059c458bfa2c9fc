"""What is changed by hand on a host is found, planned, mended with its restart, and stays away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cairn_host import errors, paths
from cairn_host.probe import generations
from cairn_host.service import staging, switching, transition

from . import fakehost
from .fakehost import Systemd, described_file, described_unit, manifest

DROPIN = "[Service]\nLimitNOFILE=1\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """A host that runs one generation of a service with two units, each with a file of its own."""
    host = fakehost.install(tmp_path, monkeypatch)
    staging.stage(generation(host, "aaa"))
    switching.switch("svc", "aaa")
    host.calls.clear()
    assert drift() == []
    return host


def generation(host: Systemd, ident: str, one: str = "one\n", two: str = "two\n") -> dict[str, Any]:
    """A service of two units: `run` reads svc.conf, `other` a file elsewhere by a reload."""
    made = manifest(host, ident, one)
    outside = str(host.root / "outside" / "other.d")
    made["files"] = [described_file("svc.conf", one), described_file(outside, two, "0644")]
    made["units"] = [
        described_unit("run.service", f"run {one}", config_files=["svc.conf"], dropin=DROPIN),
        described_unit("other.service", f"other {two}", config_files=[outside], on_change="reload"),
    ]
    return made


def drift() -> list[str]:
    """What the probe says of the service."""
    return [why["text"] for why in generations.read_state()["services"]["svc"]["drift"]]


def own() -> Path:
    return paths.etc("svc") / "svc.conf"


def outside(host: Systemd) -> Path:
    return host.root / "outside" / "other.d"


def dropin(_host: Systemd) -> Path:
    return paths.UNITS / "run.service.d" / "90-cairn.conf"


Edit = Callable[[Systemd], Any]
EDITS: dict[str, tuple[Edit, list[str], list[str]]] = {
    # What is done by hand, and the units that are restarted and reloaded for it.
    "a file of the service's own": (lambda _: own().write_text("by hand"), ["run.service"], []),
    "a file elsewhere": (lambda h: outside(h).write_text("by hand"), [], ["other.service"]),
    "a file that was removed": (lambda h: outside(h).unlink(), [], ["other.service"]),
    "an own file that was removed": (lambda _: own().unlink(), ["run.service"], []),
    "a file that was added": (
        lambda _: (
            (own().parent / "svc.conf.d").mkdir()
            or (own().parent / "svc.conf.d" / "x.conf").write_text("by hand")
        ),
        ["run.service"],
        [],
    ),
    "an empty file that was added": (lambda _: sibling().touch(), ["run.service"], []),
    "a link that was added": (lambda _: sibling().symlink_to("/dev/null"), ["run.service"], []),
    "an own file that is a link": (lambda _: link(own()), ["run.service"], []),
    "the mode of an own file": (lambda _: own().chmod(0o666), [], []),
    "the mode of a file elsewhere": (lambda h: outside(h).chmod(0o666), [], []),
    "the owner of an own file": (lambda _: hand_over(own()), [], []),
    "the owner of a file elsewhere": (lambda h: hand_over(outside(h)), [], []),
    "a unit's text": (
        lambda _: (paths.UNITS / "other.service").write_text("[Service]\nExecStart=/bin/false\n"),
        ["other.service"],
        [],
    ),
    "a unit put in the link's place": (
        lambda _: replace(paths.UNITS / "run.service", "[Service]\nExecStart=/bin/false\n"),
        ["run.service"],
        [],
    ),
    "a drop-in": (lambda h: dropin(h).write_text("[Service]\n"), ["run.service"], []),
    "a drop-in that was removed": (lambda h: dropin(h).unlink(), ["run.service"], []),
    "a drop-in's mode": (lambda h: dropin(h).chmod(0o666), [], []),
    "an empty drop-in that was added": (lambda _: empty_dropin(), ["other.service"], []),
    "a unit's mode": (lambda _: (paths.UNITS / "run.service").chmod(0o666), [], []),
    "a link for the boot": (
        lambda _: (paths.UNITS / "multi-user.target.wants" / "run.service").unlink(),
        [],
        [],
    ),
    "the link in /etc": (lambda _: replace(paths.etc("svc"), "a file"), [], []),
    "a unit that was stopped": (lambda h: h.active.remove("run.service"), ["run.service"], []),
}


def sibling() -> Path:
    return own().parent / "x.conf"


def link(path: Path) -> None:
    """Put a link to a copy of a file in its place."""
    copy = path.rename(path.parents[1] / "copy")
    path.symlink_to(copy)


def empty_dropin() -> None:
    """Add a drop-in of Cairn's name to a unit that has none."""
    place = generations.dropin("other.service")
    place.parent.mkdir()
    place.touch()


def hand_over(path: Path) -> None:
    """Give a file another owner."""
    shutil.chown(path, "daemon", "daemon")


def replace(path: Path, text: str) -> None:
    """Put a file of its own where a link is."""
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("what", EDITS)
def test_a_hand_edit_is_found_planned_and_mended_with_its_restart(host: Systemd, what: str) -> None:
    edit, restarted, reloaded = EDITS[what]
    edit(host)
    assert len(drift()) >= 1
    planned, shown = switching.plan("svc", "aaa")
    assert fakehost.unshown(planned, shown) == []
    done = switching.switch("svc", "aaa")
    assert (done["restarted"], done["reloaded"]) == (restarted, reloaded)
    assert done["changed"]
    assert {**planned, "seconds": done["seconds"]} == done
    assert drift() == []
    assert own().read_text() == "one\n"
    assert outside(host).read_text() == "two\n"
    quiet = switching.switch("svc", "aaa")
    assert not quiet["changed"], "the second run after it has nothing to do"
    assert (quiet["restarted"], quiet["reloaded"]) == ([], [])


@pytest.mark.parametrize("what", EDITS)
def test_a_hand_edit_does_not_come_back_by_a_rollback(host: Systemd, what: str) -> None:
    EDITS[what][0](host)
    staging.stage(generation(host, "bbb", one="1\n", two="2\n"))
    planned, _ = switching.plan("svc", "bbb")
    done = switching.switch("svc", "bbb")
    assert {**planned, "seconds": done["seconds"]} == done
    assert drift() == []
    assert (own().read_text(), outside(host).read_text()) == ("1\n", "2\n")
    switching.switch("svc", "aaa")
    assert drift() == []
    assert (own().read_text(), outside(host).read_text()) == ("one\n", "two\n")
    assert not (own().parent / "svc.conf.d" / "x.conf").exists()


@pytest.mark.parametrize("text", ["by hand", ""])
def test_a_file_added_to_a_service_without_files_of_its_own_is_shown(
    host: Systemd, text: str
) -> None:
    """Such a service has no link in /etc: the file lies in the generation alone."""
    bare = {**generation(host, "bbb"), "files": [], "etc": False}
    paths.etc("svc").unlink()
    staging.stage(bare)
    switching.switch("svc", "bbb")
    added = paths.generation("svc", "bbb") / "etc" / "x.conf"
    added.write_text(text)
    planned, shown = switching.plan("svc", "bbb")
    assert planned["mended"] == ["etc/x.conf"]
    assert [one["before_header"] for one in shown] == [str(added)]
    assert (shown[0]["before"], shown[0]["after"]) == (text or "(an empty file)\n", "")
    assert switching.switch("svc", "bbb")["mended"] == ["etc/x.conf"]
    assert not added.exists()


@pytest.mark.parametrize("where", [own, outside])
def test_an_empty_file_that_was_removed_is_shown(host: Systemd, where: Any) -> None:
    empty = generation(host, "bbb", one="", two="")
    staging.stage(empty)
    switching.switch("svc", "bbb")
    place = where(host) if where is outside else where()
    place.unlink()
    planned, shown = switching.plan("svc", "bbb")
    assert fakehost.unshown(planned, shown) == []
    assert [(one["before"], one["after"]) for one in shown] == [("", "(an empty file)\n")]


def test_a_unit_whose_file_was_edited_restarts_though_the_new_generation_has_the_same(
    host: Systemd,
) -> None:
    own().write_text("by hand")
    staging.stage(generation(host, "bbb", two="2\n"))
    done = switching.switch("svc", "bbb")
    assert done["restarted"] == ["run.service"]
    assert done["reloaded"] == ["other.service"]


def test_a_mend_that_is_cut_off_is_finished_with_its_restart(
    host: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    own().write_text("by hand")
    with monkeypatch.context() as patched:
        patched.setattr(switching, "install", lambda *_: 1 / 0)  # power fails here
        with pytest.raises(ZeroDivisionError):
            switching.switch("svc", "aaa")
    assert own().read_text() == "one\n"
    assert drift() == ["run.service runs with older inputs"]
    assert switching.switch("svc", "aaa")["restarted"] == ["run.service"]


def spoil(host: Systemd, ident: str = "aaa") -> None:
    """Change a file of a generation and the copy that it could be restored from."""
    base = paths.generation("svc", ident)
    (base / "etc" / "svc.conf").write_text("by hand")
    (base / "origin" / "svc.conf").write_text("by hand")


def test_what_the_host_cannot_restore_is_staged_again_beside_what_is_in_force(
    host: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(host)
    kinds = {why["kind"] for why in generations.read_state()["services"]["svc"]["drift"]}
    assert kinds & transition.STAGING
    in_force = paths.generation("svc", "aaa") / "etc" / "svc.conf"
    real = staging.shutil.rmtree

    def rmtree(path: Path, *rest: Any, **how: Any) -> None:
        assert in_force.exists(), "what is in force is never away"
        real(path, *rest, **how)

    monkeypatch.setattr(staging.shutil, "rmtree", rmtree)
    assert staging.stage(generation(host, "aaa")) is True
    assert own().read_text() == "one\n"
    assert drift() == ["run.service runs with older inputs"]
    assert switching.switch("svc", "aaa")["restarted"] == ["run.service"]
    assert drift() == []


@pytest.mark.parametrize("problem", ["EINVAL", "ENOSYS"])
def test_a_file_system_that_cannot_exchange_folders_gets_them_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)

    class Libc:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def renameat2(self, *_: Any) -> int:
            return -1

    monkeypatch.setattr(staging.ctypes, "CDLL", Libc)
    monkeypatch.setattr(staging.ctypes, "get_errno", lambda: getattr(staging.errno, problem))
    staging.exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one" / "x").read_text() == "other"
    assert (tmp_path / "other" / "x").read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 2


def test_two_folders_change_their_names_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    staging.exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one" / "x").read_text() == "other"


def test_a_generation_that_cannot_be_restored_is_not_returned_to_but_staged_again(
    host: Systemd,
) -> None:
    staging.stage(generation(host, "bbb", one="1\n"))
    switching.switch("svc", "bbb")
    spoil(host)
    with pytest.raises(errors.HostError, match=r"svc\.conf of generation aaa .* run site\.yml"):
        switching.switch("svc", "aaa")
    assert generations.link_name(paths.current("svc")) == "bbb"
    assert "aaa" not in generations.read_state()["services"]["svc"]["staged"]
    assert staging.stage(generation(host, "aaa")) is True
    assert switching.switch("svc", "aaa")["restarted"] == ["run.service"]


def test_an_older_cairns_generation_without_copies_is_mended_by_staging(host: Systemd) -> None:
    staging.shutil.rmtree(paths.generation("svc", "aaa") / "origin")
    assert drift() == []
    own().write_text("by hand")
    assert staging.stage(generation(host, "aaa")) is True
    switching.switch("svc", "aaa")
    assert (drift(), own().read_text()) == ([], "one\n")


def test_a_mode_that_becomes_stricter_is_kept_and_restarts_nothing(host: Systemd) -> None:
    tighter = generation(host, "bbb")
    tighter["files"][1]["mode"] = "0600"
    staging.stage(tighter)
    done = switching.switch("svc", "bbb")
    assert outside(host).stat().st_mode & 0o777 == 0o600
    assert (done["restarted"], done["reloaded"]) == ([], [])
