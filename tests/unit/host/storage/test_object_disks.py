"""Which disks are formatted, which are left alone and which stop everything."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cairn.preflight.disks import check_object_disks
from cairn_host.errors import HostError
from cairn_host.probe import block_devices
from cairn_host.storage import object_disks
from cairn_host.storage.object_disks import judge

DISK = {"name": "d1", "device": "/dev/vdb"}
OURS = {"type": "xfs", "label": "swift-d1", "uuid": "6d0f"}
EXT4 = {"type": "ext4", "label": "home", "uuid": "9a11"}
NAMELESS = {"type": "unknown", "uuid": "c0ffee"}
GPT = {"type": "gpt", "uuid": "77aa"}


def device(*signatures: dict[str, str], used: str = "", real: str = "/dev/vdb") -> dict[str, Any]:
    return {"real": real, "size_mb": 2048, "used": used, "signatures": list(signatures)}


def host(
    devices: dict[str, Any], labels: dict[str, str] | None = None, **records: str
) -> dict[str, Any]:
    return {
        "devices": devices,
        "labels": labels or {},
        "records": records,
        "disks": {"vda": {}, "vdb": {}},
    }


def test_a_blank_disk_is_to_be_formatted() -> None:
    assert judge(DISK, host({"/dev/vdb": device()})).state == "blank"


def test_a_disk_with_our_label_is_ours() -> None:
    found = judge(DISK, host({"/dev/vdb": device(OURS)}, {"swift-d1": "/dev/vdb"}))
    assert (found.state, found.text) == ("ours", "")


@pytest.mark.parametrize(
    ("signatures", "data", "token"),
    [
        ([EXT4], "ext4 labelled home with UUID 9a11", "9a11"),
        ([{"type": "dos"}], "dos", "dos"),
        ([GPT, EXT4], "gpt with UUID 77aa, ext4", "77aa"),
        ([{**OURS, "label": "swift-d7"}], "xfs labelled swift-d7", "6d0f"),
        ([NAMELESS], "unknown (c0ffee)", "c0ffee"),
    ],
)
def test_a_disk_that_holds_anything_is_refused_with_the_way_to_erase_it(
    signatures: list[dict[str, str]], data: str, token: str
) -> None:
    found = judge(DISK, host({"/dev/vdb": device(*signatures)}))
    assert found.state == "wrong"
    assert f"disk d1 (/dev/vdb) holds data: {data}" in found.text
    assert f"erase: {token}" in found.remedy


@pytest.mark.parametrize(
    ("signatures", "token", "state"),
    [
        ([EXT4], "9a11", "erase"),
        ([EXT4], "ext4", "erase"),
        ([EXT4], "another", "wrong"),
        ([GPT, EXT4], "77aa", "erase"),
        ([GPT, EXT4], "gpt", "wrong"),
        ([{"type": "dos"}], "dos", "erase"),
        ([NAMELESS], "c0ffee", "erase"),
        ([NAMELESS], "dec0de", "wrong"),
    ],
)
def test_only_what_is_named_is_erased(
    signatures: list[dict[str, str]], token: str, state: str
) -> None:
    found = judge({**DISK, "erase": token}, host({"/dev/vdb": device(*signatures)}))
    assert found.state == state


@pytest.mark.parametrize("used", ["mounted on /home", "held by dm-0", "vdb1 is swap space"])
def test_a_disk_in_use_is_refused_whatever_is_to_be_erased(used: str) -> None:
    known = host({"/dev/vdb": device(EXT4, used=used)})
    found = judge({**DISK, "erase": "9a11"}, known)
    assert found.state == "wrong"
    assert used in found.text


def test_a_disk_that_never_was_there_is_named_wrongly() -> None:
    found = judge(DISK, host({"/dev/vdb": None}))
    assert (found.state, found.text) == ("wrong", "has no disk /dev/vdb (d1); it has vda, vdb")


def test_a_disk_that_is_gone_stops_nothing() -> None:
    found = judge(DISK, host({"/dev/vdb": None}, **{"swift-disk-d1": "/dev/vdb"}))
    assert found.state == "missing"
    assert "replace it under the same name" in found.remedy


@pytest.mark.parametrize(("record", "state"), [({"swift-disk-d1": "x"}, "missing"), ({}, "wrong")])
def test_a_disk_that_cannot_be_read_is_as_good_as_gone(record: dict[str, str], state: str) -> None:
    broken = {**device(), "error": "wipefs: error: /dev/vdb: Input/output error"}
    found = judge(DISK, host({"/dev/vdb": broken}, **record))
    assert found.state == state
    assert "cannot be read: wipefs: error: /dev/vdb: Input/output error" in found.text


def test_a_disk_with_another_number_of_the_kernels_is_still_ours() -> None:
    known = host(
        {"/dev/vdb": device({**OURS, "label": "swift-d2"})},
        {"swift-d1": "/dev/vdc", "swift-d2": "/dev/vdb"},
    )
    found = judge(DISK, known)
    assert (found.state, found.text) == ("ours", "disk d1 is /dev/vdc now, not /dev/vdb")


def test_a_blank_disk_beside_the_old_one_is_a_question() -> None:
    found = judge(DISK, host({"/dev/vdb": device()}, {"swift-d1": "/dev/vdc"}))
    assert found.state == "wrong"
    assert "/dev/vdc is labelled swift-d1" in found.text


def test_a_failed_disk_is_left_alone() -> None:
    assert judge({**DISK, "failed": True}, host({})).state == "failed"


@pytest.mark.parametrize("name", ["D1", "1d", "d-1", "disk0001", ""])
def test_a_name_that_fits_no_label_and_no_unit_is_refused(name: str) -> None:
    assert judge({**DISK, "name": name}, host({"/dev/vdb": device()})).state == "wrong"


def test_mounted_are_those_that_are_ours_or_about_to_be() -> None:
    disks = [DISK, {"name": "d2", "device": "/dev/vdc"}, {"name": "d3", "device": "/dev/vdd"}]
    known = host(
        {"/dev/vdb": device(OURS), "/dev/vdc": device(), "/dev/vdd": None},
        {"swift-d1": "/dev/vdb"},
        **{"swift-disk-d3": "/dev/vdd"},
    )
    assert [disk["name"] for disk in object_disks.usable(disks, known)] == ["d1", "d2"]
    assert object_disks.usable(disks, {}) == disks


def test_preflight_tells_what_is_wrong_and_warns_of_what_is_gone() -> None:
    known = host(
        {"/dev/vdb": device(EXT4), "/dev/vdc": None}, **{"swift-disk-d2": "/dev/vdc"}
    )  # fmt: skip
    disks = [DISK, {"name": "d2", "device": "/dev/vdc"}]
    found = check_object_disks("s1", known, disks)
    assert [(f.severity, f.host) for f in found] == [("error", "s1"), ("warning", "s1")]


def test_preflight_finds_a_disk_that_is_named_twice() -> None:
    known = host({"/dev/vdb": device()})
    found = check_object_disks("s1", known, [DISK, {**DISK, "name": "d2"}])
    assert [f.text for f in found] == ["/dev/vdb is in swift_disks twice"]


# --- on the host --------------------------------------------------------------------------------


@pytest.fixture
def formatted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Disks that were formatted, instead of formatting them."""
    done: list[str] = []
    monkeypatch.setattr(
        object_disks, "make_filesystem", lambda disk, owner, erase: done.append(disk["name"])
    )
    return done


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """What the host's disks hold."""

    def put(devices: dict[str, Any]) -> None:
        monkeypatch.setattr(object_disks, "read_device", devices.get)
        monkeypatch.setattr(object_disks, "read_labels", dict)
        monkeypatch.setattr(object_disks, "is_busy", lambda _disk: False)

    return put


BOTH = [DISK, {"name": "d2", "device": "/dev/vdc"}]


def test_blank_disks_are_formatted(present: Any, formatted: list[str]) -> None:
    present({"/dev/vdb": device(), "/dev/vdc": device()})
    assert len(object_disks.prepare(BOTH, {}, "swift", check=False)) == 2
    assert formatted == ["d1", "d2"]


def test_a_plan_formats_nothing(present: Any, formatted: list[str]) -> None:
    present({"/dev/vdb": device(), "/dev/vdc": device()})
    assert object_disks.prepare(BOTH, {}, "swift", check=True) == [
        "d1: XFS on /dev/vdb",
        "d2: XFS on /dev/vdc",
    ]
    assert formatted == []


def test_one_disk_with_data_saves_all_others_too(present: Any, formatted: list[str]) -> None:
    present({"/dev/vdb": device(), "/dev/vdc": device(EXT4)})
    with pytest.raises(HostError, match=r"nothing was formatted\ndisk d2 .* holds data: ext4"):
        object_disks.prepare(BOTH, {}, "swift", check=False)
    assert formatted == []


@pytest.mark.parametrize("check", [True, False])
def test_a_disk_that_is_still_in_use_saves_all_others_too(
    present: Any, formatted: list[str], monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    present({"/dev/vdb": device(), "/dev/vdc": device()})
    monkeypatch.setattr(object_disks, "is_busy", lambda disk: disk["name"] == "d2")
    with pytest.raises(HostError, match=r"nothing was formatted\nd2 \(/dev/vdc\).*(?s:.*)restart"):
        object_disks.prepare(BOTH, {}, "swift", check=check)
    assert formatted == []


@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_what_the_kernel_lets_nobody_else_use_is_busy(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 1 << 20)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(made.stderr)
    loop = made.stdout.strip()
    try:
        assert not object_disks.is_busy({"device": loop})
        holder = os.open(loop, os.O_RDONLY | os.O_EXCL)
        assert object_disks.is_busy({"device": loop})
        os.close(holder)
        assert not object_disks.is_busy({"device": loop})
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)


def test_mkfs_is_never_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(object_disks.system, "must", lambda command, *_, **__: ran.append(command))
    monkeypatch.setattr(object_disks.records, "record", lambda *_: True)
    monkeypatch.setattr(object_disks.files, "ensure_directory", lambda _: [])
    object_disks.make_filesystem(DISK, "root", erase=False)
    assert [command[0] for command in ran] == ["mkfs.xfs", "udevadm"]
    assert not {"-f", "--force"} & set(ran[0])
    assert ran[0][ran[0].index("-L") + 1] == "swift-d1"


def test_wipefs_is_asked_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 64 << 20)
    assert block_devices.read_signatures(str(image)) == ([], "")
    subprocess.run(["mkswap", "--label", "old", str(image)], check=True, capture_output=True)
    (found,), _ = block_devices.read_signatures(str(image))
    assert (found["type"], found["label"]) == ("swap", "old")
    assert block_devices.read_signatures(str(image)) == ([found], "")
    assert "No such file" in block_devices.read_signatures(str(tmp_path / "none"))[1]


@pytest.mark.parametrize("place", [0, 4096, (1 << 20) - 1, (8 << 20) - 1])
def test_data_without_a_signature_is_no_blank_disk(place: int, tmp_path: Path) -> None:
    image = tmp_path / "disk"

    def look(data: bytes) -> list[dict[str, str]]:
        with image.open("wb") as file:
            file.truncate(8 << 20)
            file.seek(place)
            file.write(data)
        found, error = block_devices.read_signatures(str(image))
        assert error == ""
        return found

    assert look(b"\0") == []
    (one,), (same,), (other,) = look(b"x"), look(b"x"), look(b"y")
    assert one["type"] == "unknown"
    assert one == same != other


def test_a_disk_whose_ends_cannot_be_read_is_not_blank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> bytes:
        raise OSError(5, "Input/output error")

    image = tmp_path / "disk"
    image.write_bytes(bytes(4096))
    assert block_devices.read_signatures(str(image)) == ([], "")
    monkeypatch.setattr(block_devices, "read_ends", broken)
    assert block_devices.read_signatures(str(image)) == ([], f"{image}: Input/output error")


@pytest.fixture
def used(tmp_path: Path) -> Callable[[str], str]:
    """What uses the device of tmp_path's file system, when these lines are /proc/self/mounts."""
    number = tmp_path.stat().st_dev
    system, proc = tmp_path / "sys", tmp_path / "proc"
    system.mkdir()
    (system / "dev").write_text(f"{os.major(number)}:{os.minor(number)}\n")
    (proc / "self").mkdir(parents=True)

    def look(mounts: str) -> str:
        (proc / "self/mounts").write_bytes(os.fsencode(mounts))
        return block_devices._used("/dev/vdb", system, proc)

    return look


def test_a_mount_point_may_have_any_name(tmp_path: Path, used: Callable[[str], str]) -> None:
    place = tmp_path / "a disk\tof\\mine \udcff"
    place.mkdir()
    written = str(place)
    for plain, code in (("\\", r"\134"), (" ", r"\040"), ("\t", r"\011")):
        written = written.replace(plain, code)
    assert used(f"/dev/vdb {written} ext4 rw 0 0\n") == f"mounted on {place}"


def test_a_mount_point_that_nobody_may_look_at_breaks_nothing(used: Callable[[str], str]) -> None:
    assert used("/dev/fuse /gone/doc fuse.portal rw 0 0\n") == ""


def test_what_is_no_block_device_is_no_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert block_devices.read_device(str(tmp_path / "file")) is None
    assert block_devices.read_device(str(tmp_path / "nothing")) is None
    assert stat.S_ISREG((tmp_path / "file").stat().st_mode)


def test_labels_are_those_that_udev_made_links_for(tmp_path: Path) -> None:
    (tmp_path / "vdb").touch()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / r"my\x20disk").symlink_to(tmp_path / "vdb")
    assert block_devices.read_labels(tmp_path / "labels") == {"my disk": str(tmp_path / "vdb")}
    assert block_devices.read_labels(tmp_path / "none") == {}
