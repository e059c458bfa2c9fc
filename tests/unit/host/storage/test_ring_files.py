"""Rings made by swift's own builder, step by step, over days."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn_host import wire
from cairn_host.errors import HostError
from cairn_host.storage import ring_files, rings

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def swift(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with swift's code; importing it takes long."""
    python = root / ".cache/venvs/2026.1/swift/bin/python"
    if not python.exists():
        pytest.skip("no virtualenv of swift: make venvs")
    with subprocess.Popen(
        [str(python), str(Path(__file__).with_name("make_rings.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root / "plugins/module_utils")},
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def make(swift: subprocess.Popen[str]) -> Make:
    """Make the object ring from disks ({host/disk: weight}) and what was made before."""

    def run(
        disks: dict[str, float],
        before: dict[str, Any] | None = None,
        *,
        replicas: float = 3,
        hours: float = 0,
        zones: dict[str, int] | None = None,
        **circumstances: Any,
    ) -> dict[str, Any]:
        devices = [
            {
                "host": name.split("/")[0],
                "disk": name.split("/")[1],
                "region": 1,
                "zone": (zones or {}).get(name.split("/")[0], 1),
                "ip": f"198.51.100.{name.split('/')[0][1:]}",
                "port": 6200,
                "weight": weight,
            }
            for name, weight in disks.items()
        ]
        wanted = {
            "object": {
                "part_power": 8,
                "replicas": replicas,
                "min_part_hours": 24,
                "devices": devices,
            }
        }
        if "holding" in circumstances:
            circumstances["holding"] = {"object": circumstances["holding"]}
        asked = {
            "wanted": wanted,
            "contents": {"object": before["builder"]} if before else {},
            "hours": hours,
            "circumstances": circumstances,
        }
        assert swift.stdin is not None
        assert swift.stdout is not None
        swift.stdin.write(json.dumps(asked) + "\n")
        swift.stdin.flush()
        answer: dict[str, Any] = json.loads(swift.stdout.readline())
        return answer if "refused" in answer else answer["object"]

    return run


class Evil:
    """What a builder file from a host that somebody has taken over might hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("made-by-a-builder-file",)


def test_a_builder_file_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"version": 1, "devs": Evil()}, 2)
    with pytest.raises(pickle.UnpicklingError, match=r"must not contain posix\.mkdir"):
        rings.builder_version(content)
    assert list(tmp_path.iterdir()) == []


THREE = {"s1/d1": 100.0, "s2/d1": 100.0, "s3/d1": 100.0}
FOUR = {**THREE, "s4/d1": 100.0}


@pytest.fixture(scope="module")
def first(make: Make) -> dict[str, Any]:
    """A ring of three disks, just made."""
    return make(THREE)


def test_the_version_of_swifts_own_file_is_read(first: dict[str, Any]) -> None:
    assert rings.builder_version(wire.decode(first["builder"])) == first["version"]


@pytest.fixture(scope="module")
def four(make: Make, first: dict[str, Any]) -> dict[str, Any]:
    """The same with a fourth disk, as full as the others."""
    ring = make(FOUR, first, hours=25)
    while ring["due"]:
        ring = make(FOUR, ring, hours=25)
    return ring


def test_a_first_ring_puts_each_copy_on_another_disk(first: dict[str, Any]) -> None:
    assert first["parts"] == {"s1/d1": 256, "s2/d1": 256, "s3/d1": 256}
    assert all(len(set(row)) == 3 for row in first["rows"])
    assert first["lines"][0] == "new: 2^8 partitions, 3 copies, 24 h between moves"
    assert first["lines"][-1] == "768 partition copies placed"
    assert first["due"] == ""


def test_three_disks_of_one_host_make_a_ring(make: Make) -> None:
    ring = make({"s1/d1": 100, "s1/d2": 100, "s1/d3": 100})
    assert set(ring["parts"].values()) == {256}


def test_nothing_changes_when_nothing_is_asked_for(make: Make, first: dict[str, Any]) -> None:
    again = make(THREE, first, hours=48)
    assert (again["changed"], again["lines"], again["version"]) == (False, [], first["version"])
    assert again["ring"] == first["ring"]


def test_a_plan_and_its_execution_move_the_same(make: Make, first: dict[str, Any]) -> None:
    plan, done = (make(FOUR, first, hours=25) for _ in range(2))
    assert plan["rows"] == done["rows"]


def test_a_new_disk_takes_one_copy_of_a_partition_at_most(
    make: Make, first: dict[str, Any]
) -> None:
    ring = make(FOUR, first, hours=25)
    assert 150 < ring["parts"]["s4/d1"] <= 192
    for before, after in zip(first["rows"], ring["rows"], strict=True):
        assert len(set(after) - set(before)) <= 1
    assert f"s4/d1 +{ring['parts']['s4/d1']}" in " ".join(ring["lines"])


def test_nothing_moves_before_its_hours_have_passed(make: Make, first: dict[str, Any]) -> None:
    ring = make(FOUR, first, hours=2)
    assert ring["parts"]["s4/d1"] == 0
    assert ring["lines"][0] == "add s4/d1 (region 1, zone 1, weight 100)"
    assert "more partitions have to move, not before" in ring["lines"][-1]
    later = make(FOUR, ring, hours=25)
    assert later["parts"]["s4/d1"] > 150


def test_a_disk_drains_and_leaves(make: Make, four: dict[str, Any]) -> None:
    drained = {**THREE, "s4/d1": 0.0}
    ring = make(drained, four, hours=25)
    while ring["due"]:
        ring = make(drained, ring, hours=25)
    assert ring["parts"]["s4/d1"] == 0
    waiting = make(drained, ring, hours=1, holding={"s4/d1": 3})
    assert waiting["lines"] == ["s4/d1 drains: data of 3 partitions still to be handed over"]
    empty = make(drained, ring, hours=1, holding={"s4/d1": 0})
    assert empty["lines"] == ["s4/d1 is empty: remove it from swift_disks"]
    assert not empty["changed"]
    refused = make(THREE, ring, hours=1, holding={"s4/d1": 3})
    assert "s4/d1 still has data of 3 partitions" in refused["refused"]
    gone = make(THREE, ring, hours=1, holding={"s4/d1": 0})
    assert set(gone["parts"]) == set(THREE)
    assert gone["changed"]


def test_shares_make_several_changes_of_one(make: Make, first: dict[str, Any]) -> None:
    ring, filled = first, []
    for _ in range(4):
        ring = make(FOUR, ring, hours=25, share=25)
        filled.append(ring["parts"]["s4/d1"])
    assert filled == sorted(filled)
    assert filled[0] < 80
    assert filled[-1] > 180


def test_a_lost_disk_is_replaced_at_once_by_the_others(make: Make, four: dict[str, Any]) -> None:
    ring = make(THREE, four, lost=["s4"])
    assert set(ring["parts"].values()) == {256}
    for before, after in zip(four["rows"], ring["rows"], strict=True):
        assert len(set(before) & set(after)) >= 2


def test_the_last_copy_is_not_given_up(make: Make) -> None:
    two = make(FOUR, replicas=2)
    pair = sorted(two["rows"][0])
    others = {name: weight for name, weight in FOUR.items() if name not in pair}
    text = make(others, two, replicas=2, hours=48, lost=pair)["refused"]
    assert f"would lose their last reliable copy with {', '.join(pair)}" in text
    assert "nothing was changed" in text


def test_a_moved_host_changes_the_ring_but_moves_nothing(make: Make, first: dict[str, Any]) -> None:
    moved = json.loads(json.dumps(first))
    ring = make({"s1/d1": 100, "s2/d1": 100, "s3/d1": 100}, moved, zones={"s3": 3})
    assert ring["changed"]
    assert ring["rows"] == first["rows"]


# --- on a host ----------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Folders of a host for builders and rings; files keep their owner."""
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    return {"builder_folder": tmp_path / "builders", "ring_folder": tmp_path / "rings"}


def files(ring: dict[str, Any]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    return (
        {"object": base64.b64decode(ring["builder"])},
        {"object": base64.b64decode(ring["ring"])},
    )


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of this host."""
    monkeypatch.setattr("cairn_host.paths.RECORDS", tmp_path / "records")
    return tmp_path / "records"


def test_a_host_says_what_it_was_given(
    first: dict[str, Any], folders: dict[str, Path], tmp_path: Path
) -> None:
    assert ring_files.give(*files(first), {}, **folders) == ["object.builder", "object.ring.gz"]
    found = ring_files.read(*folders.values(), tmp_path / "no disks")
    assert found["builders"]["object"]["version"] == first["version"]
    assert found["builders"]["object"]["content"] == first["builder"]
    assert found["rings"] == {"object": first["version"]}
    assert ring_files.give(*files(first), {}, **folders) == []


def test_the_builder_before_is_kept(
    make: Make, first: dict[str, Any], folders: dict[str, Path]
) -> None:
    ring_files.give(*files(first), {}, **folders)
    ring_files.give(*files(make(FOUR, first, hours=25)), {"due-swift": "soon"}, **folders)
    (kept,) = (folders["builder_folder"] / "backups").iterdir()
    assert kept.read_bytes() == base64.b64decode(first["builder"])
    assert kept.name.startswith(f"object-{first['version']}-")


def test_a_newer_builder_is_not_overwritten(
    make: Make, first: dict[str, Any], folders: dict[str, Path]
) -> None:
    newer = make(FOUR, first, hours=25)
    ring_files.give(*files(newer), {}, **folders)
    with pytest.raises(HostError, match="it was changed during the run"):
        ring_files.give(*files(first), {}, **folders)
    assert ring_files.read(*folders.values())["rings"] == {"object": newer["version"]}


def test_what_a_disk_still_holds_is_counted(tmp_path: Path) -> None:
    for name in ("objects/17", "objects/18", "objects-1/3", "accounts/5", "tmp/9", "objects/x"):
        (tmp_path / name).mkdir(parents=True)
    assert ring_files.partitions(tmp_path) == {"accounts": 1, "objects": 2, "objects-1": 1}
