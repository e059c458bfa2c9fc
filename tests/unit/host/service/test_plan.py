"""The plan is the run: what `--check` says of any two generations is what a switch then does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cairn.service.manifest import digest
from cairn_host import files, paths
from cairn_host.probe import generations
from cairn_host.service import staging, switching

from . import fakehost
from .fakehost import Systemd, described_file, described_unit

OWN = ("svc.conf", "more/paste.ini")
OUTSIDE = ("a.conf", "b.conf")
UNITS = ("api.service", "worker.service", "run.timer", "srv-node.mount", "debians.service")
TEXTS = (fakehost.UNIT, fakehost.UNIT.replace("true", "false"))
CONTENTS = ("one\n", "two\n")

# An example makes a host: what it costs to shrink one is minutes.
QUICK: dict[str, Any] = {
    "deadline": None,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}

contents = st.sampled_from(CONTENTS)
modes = st.sampled_from(("0640", "0600"))


@st.composite
def described(draw: st.DrawFn) -> dict[str, Any]:
    """What a description might say: files by name, and units by theirs."""
    files = {
        name: (draw(contents), draw(modes)) for name in (*OWN, *OUTSIDE) if draw(st.booleans())
    }
    units = {}
    for name in UNITS:
        if draw(st.integers(0, 3)) == 0:
            continue
        units[name] = {
            "text": None if name == "debians.service" else draw(st.sampled_from(TEXTS)),
            "dropin": draw(st.sampled_from((None, "[Unit]\n", "[Service]\nNice=1\n"))),
            "enabled": draw(st.booleans()),
            "state": draw(st.sampled_from(("started", "started", "stopped", "idle"))),
            "on_change": "none"
            if name.endswith(".mount")
            else draw(st.sampled_from(("restart", "reload"))),
            "config_files": draw(st.sampled_from((None, [], list(files)[:1], list(files)[1:]))),
        }
    return {"files": files, "units": units}


edits = st.lists(
    st.tuples(
        st.sampled_from(("write", "chmod", "remove", "add", "dropin", "unit", "stop", "start")),
        st.integers(0, 9),
    ),
    max_size=3,
)


def manifest(host: Systemd, said: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a generation, with fingerprints as manifest.build makes them."""

    def place(name: str) -> str:
        return name if name in OWN else str(host.root / "outside" / name)

    files = [described_file(place(name), *what) for name, what in said["files"].items()]
    by_name = {name: what[0] for name, what in said["files"].items()}
    units = []
    for name, what in said["units"].items():
        named = what["config_files"]
        inputs = {n: c for n, c in by_name.items() if named is None or n in named}
        changes = {**what, "config_files": None if named is None else [place(n) for n in named]}
        fingerprint = digest([what["text"], what["dropin"], inputs])
        units.append(described_unit(name, fingerprint, **changes))
    made = {
        **fakehost.manifest(host, ""),
        "etc": any(name in OWN for name in by_name),
        "files": files,
        "units": units,
    }
    return {**made, "id": digest(made)}


def change_by_hand(host: Systemd, manifest: dict[str, Any], what: str, number: int) -> None:
    """Do to a host what an administrator might do; nothing where there is nothing to do it to."""
    base = paths.current("svc")
    files = [f["path"] for f in manifest["files"]]
    units = [unit["unit"] for unit in manifest["units"]]
    file = Path(files[number % len(files)]) if files else None
    live = (file if file.is_absolute() else base / "etc" / file) if file else None
    unit = units[number % len(units)] if units else None
    if what == "write" and live:
        live.write_text("by hand")
    elif what == "chmod" and live and live.exists():
        live.chmod(0o666)
    elif what == "remove" and live:
        live.unlink(missing_ok=True)
    elif what == "add":
        (base / "etc" / "x.conf").write_text("by hand")
    elif what == "dropin" and unit:
        dropin = generations.dropin(unit)
        dropin.parent.mkdir(exist_ok=True)
        dropin.write_text("[Service]\nNice=9\n")
    elif what == "unit" and unit and unit != "debians.service":
        (paths.UNITS / unit).write_text("[Service]\nExecStart=/by/hand\n")
    elif what == "stop":
        host.active.discard(unit or "")
    elif what == "start" and unit:
        host.active.add(unit)


def everything(root: Path) -> dict[str, Any]:
    """All that is on the host."""
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
    }


def plan_is_run(host: Systemd, wanted: dict[str, Any]) -> None:
    """Plan, stage, plan again, switch; hold one against the others."""
    before = everything(host.root)
    host.calls.clear()
    planned, shown = switching.plan("svc", wanted["id"], wanted)
    assert everything(host.root) == before, "a plan changes nothing"
    assert host.calls == []
    staging.stage(wanted)
    staged, _ = switching.plan("svc", wanted["id"])
    host.calls.clear()
    done = switching.switch("svc", wanted["id"])
    done.pop("seconds")
    assert planned == done
    assert staged == done
    asked = {verb: [] for verb in ("restart", "reload", "stop")}
    for call in host.calls:
        if call[1] in asked:
            asked[call[1]] += call[2:]
    assert asked == {
        "restart": done["restarted"],
        "reload": done["reloaded"],
        "stop": done["stopped"],
    }
    if done["from"] == wanted["id"]:
        assert fakehost.unshown(done, shown) == []
    holds(host, wanted)


def holds(host: Systemd, wanted: dict[str, Any]) -> None:
    """The host is what the manifest says, and a further run finds nothing to do."""
    assert generations.read_state()["services"]["svc"]["drift"] == []
    assert staging.show_difference(wanted, wanted) == []
    again, _ = switching.plan("svc", wanted["id"])
    assert not again["changed"]
    for file in wanted["files"]:
        path = Path(file["path"])
        live = path if path.is_absolute() else paths.etc("svc") / path
        assert live.read_text() == file["content"]
        assert live.stat().st_mode & 0o7777 == int(file["mode"], 8)
    for unit in wanted["units"]:
        name = unit["unit"]
        if unit["text"]:
            assert (paths.UNITS / name).read_text() == unit["text"]
        assert generations.dropin(name).exists() is bool(unit["dropin"])
        if unit["state"] != "idle":
            assert (name in host.active) is (unit["state"] == "started")
    for name in set(UNITS) - {unit["unit"] for unit in wanted["units"]}:
        assert not (paths.UNITS / name).exists()
        assert not generations.dropin(name).exists()
    named = {Path(f["path"]).name for f in wanted["files"] if f["path"].startswith("/")}
    outside = host.root / "outside"
    assert {p.name for p in outside.iterdir()} == named if outside.exists() else not named


@contextmanager
def fresh_host(root: Path) -> Iterator[Systemd]:
    """A made-up host with nothing on it, one for each example; its disk is not waited for."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        host = fakehost.install(root, patched)
        patched.setattr(files.os, "fsync", lambda _: None)
        yield host


@settings(max_examples=30, **QUICK)
@given(first=described(), second=described(), by_hand=edits)
def test_a_plan_says_what_the_switch_does(
    tmp_path: Path,
    first: dict[str, Any],
    second: dict[str, Any],
    by_hand: list[tuple[str, int]],
) -> None:
    with fresh_host(tmp_path / "host") as host:
        one, two = manifest(host, first), manifest(host, second)
        plan_is_run(host, one)
        for what, number in by_hand:
            change_by_hand(host, one, what, number)
        plan_is_run(host, two)
        if one["id"] != two["id"]:
            planned, _ = switching.plan("svc", one["id"])
            done = switching.switch("svc", one["id"])
            done.pop("seconds")
            assert planned == done
            holds(host, one)


@settings(max_examples=30, **QUICK)
@given(said=described(), by_hand=edits)
def test_drift_is_there_exactly_when_a_switch_to_what_is_in_force_would_change_something(
    tmp_path: Path, said: dict[str, Any], by_hand: list[tuple[str, int]]
) -> None:
    with fresh_host(tmp_path / "host") as host:
        wanted = manifest(host, said)
        staging.stage(wanted)
        switching.switch("svc", wanted["id"])
        for what, number in by_hand:
            change_by_hand(host, wanted, what, number)
        found = generations.read_state()["services"]["svc"]["drift"]
        planned, _ = switching.plan("svc", wanted["id"])
        assert bool(found) is planned["changed"]
        plan_is_run(host, wanted)
