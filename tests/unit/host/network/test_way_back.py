"""The old network comes back on a full disk, from a step that hangs, and after half an arming."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cairn_host.network import commit

from .conftest import MAC, FakeKernel, Host

REAL_RUN = commit.run


class Disk:
    """Refuses every write, copy, link and new folder from a step on, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.full_from = 10_000
        self.error = errno.ENOSPC
        for holder, name in (
            (commit, "write"),
            (commit.shutil, "copy2"),
            (commit.os, "link"),
            (commit.os, "posix_fallocate"),
        ):
            monkeypatch.setattr(holder, name, self._counted(getattr(holder, name)))

    def _counted(self, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.writes += 1
            if self.writes >= self.full_from:
                raise OSError(self.error, os.strerror(self.error))
            return function(*arguments, **named)

        return call


@pytest.fixture
def disk(host: Host, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def old_network(host: Host) -> Any:
    return host.files(), host.kernel.state(), host.kernel.cards()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("step", range(1, 22))
def test_a_disk_that_refuses_writes_from_any_point_on_keeps_nobody_from_the_old_network(
    host: Host, disk: Disk, step: int, error: int
) -> None:
    old = old_network(host)
    disk.full_from, disk.error = step, error
    begun = False
    try:
        host.arm()
        begun = True
        host.change.apply()
    except commit.NetworkError:
        pass
    with contextlib.suppress(commit.NetworkError):
        host.change.revert("nobody confirmed within the window")
    # The kernel is right though no file could be written.
    assert (host.kernel.state(), host.kernel.cards()) == old[1:]
    if not begun:
        assert not host.change.files.armed.exists()
    # The revert is repeated until it succeeds; the disk has space again.
    disk.full_from = 10_000
    host.change.revert("nobody confirmed within the window")
    assert old_network(host) == old
    assert not host.change.files.armed.exists()
    assert not list(host.root.rglob(".*.old"))


def test_the_change_stays_armed_until_the_old_files_are_restored(host: Host, disk: Disk) -> None:
    host.arm()
    host.change.apply()
    disk.full_from = 0
    with pytest.raises(commit.NetworkError, match=r"No space left.*kernel uses the old network"):
        host.change.revert("x")
    # networkd is not sent to files that are the new ones still.
    assert not any("networkctl" in c for c in host.commands)
    assert host.change.files.armed.exists()
    revert = next(c for c in host.commands if c.endswith("netcommit.py revert"))
    assert "--property=Restart=on-failure" in revert


def test_a_boot_with_a_full_disk_tries_the_rest_and_stays_armed(host: Host, disk: Disk) -> None:
    host.arm()
    host.change.apply()
    disk.full_from = 0
    with pytest.raises(commit.NetworkError, match="No space left"):
        host.change.boot()
    assert host.kernel.names[MAC] == "eth0"
    assert host.change.files.armed.exists()


def test_a_change_on_a_full_disk_is_refused_before_anything_is_touched(
    host: Host, disk: Disk
) -> None:
    old = old_network(host)
    disk.full_from = 0
    with pytest.raises(commit.NetworkError, match=r"not touched: .*No space left"):
        host.arm()
    assert old_network(host) == old
    assert not [c for c in host.commands if c.startswith("systemd-run")]


def test_applying_that_cannot_be_recorded_is_taken_back_with_the_reason(
    host: Host, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_network(host)
    host.arm()
    write = commit.write

    def refuse(path: Path, *more: object) -> None:
        if path.name == "outcome.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(commit, "write", refuse)
    host.change.apply()
    assert old_network(host) == old
    status = host.change.status()
    assert (status["armed"], "No space left" in status["error"]) == (False, True)


def test_a_confirmation_that_cannot_be_recorded_leaves_the_timer_to_revert(
    host: Host, disk: Disk
) -> None:
    host.arm()
    host.change.apply()
    disk.full_from = 0
    with pytest.raises(commit.NetworkError, match=r"cannot be recorded.*reverted: .*No space"):
        host.change.confirm()
    assert host.change.files.armed.exists() and host.kernel.timer


def test_space_for_the_revert_is_reserved_during_a_change_only(host: Host) -> None:
    reserve = host.change.files.trial / "reserve"
    host.arm()
    assert reserve.stat().st_blocks * 512 >= commit.RESERVE_BYTES
    host.change.apply()
    host.change.revert("x")
    assert not reserve.exists()


# --- a real full file system


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host whose disk is an ext4 file system of 8 MiB."""
    if os.geteuid():
        pytest.skip("mounting a file system needs root")
    image, root = tmp_path / "image", tmp_path / "root"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, root], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no loop devices here: {mounted.stderr.decode().strip()}")
    try:
        made = Host(root)
        monkeypatch.setattr(commit, "run", made.run)
        monkeypatch.setattr(commit, "SETTLE", 0.0)
        (root / "etc/network/interfaces.d").mkdir(parents=True)
        (root / "etc/network/interfaces").write_text("auto eth0\n" * 3000)
        made.resolver.write_text("nameserver 10.0.0.53\n")
        for number in range(40):
            (made.units / f"10-old{number}.network").write_text("[Match]\nName=old\n" * 300)
        yield made
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


def fill(root: Path) -> None:
    """Write until nothing goes any more, by bytes at the end."""
    for size in (1 << 16, 1 << 10, 1):
        with contextlib.suppress(OSError), (root / f"filler{size}").open("wb", 0) as file:
            while True:
                file.write(bytes(size))


@pytest.mark.parametrize("moment", ["begun", "applied"])
def test_on_a_really_full_file_system_everything_comes_back(small: Host, moment: str) -> None:
    old = old_network(small)
    small.arm()
    if moment == "begun":
        fill(small.root)
        small.change.apply()
    else:
        small.change.apply()
        fill(small.root)
    small.change.revert("nobody confirmed")
    assert old_network(small) == old
    assert not small.change.files.armed.exists()


def test_a_file_system_that_is_full_already_refuses_the_change(small: Host) -> None:
    old = old_network(small)
    fill(small.root)
    with pytest.raises(commit.NetworkError, match="not touched"):
        small.arm()
    assert old_network(small) == old


# --- what hangs


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    begun = time.monotonic()
    with pytest.raises(commit.NetworkError, match=r"did not end within 0\.5 s"):
        REAL_RUN("sh", "-c", f"sleep 60 & echo $! > {pid}; wait", limit=0.5)
    assert time.monotonic() - begun < 5
    status = Path(f"/proc/{pid.read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_a_command_that_hangs_or_is_not_there_is_forgiven_where_failures_are() -> None:
    assert REAL_RUN("sh", "-c", "echo said; sleep 60", check=False, limit=0.2) == ""
    assert REAL_RUN("/no/such/command", check=False) == ""
    with pytest.raises(commit.NetworkError, match="No such file"):
        REAL_RUN("/no/such/command")


def test_every_command_has_a_time_limit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []
    popen = subprocess.Popen

    class Watched(popen):  # type: ignore[type-arg, misc, valid-type]
        def communicate(self, *arguments: Any, timeout: float | None = None) -> Any:
            limits.append(timeout)
            return super().communicate(*arguments, timeout=timeout)

    monkeypatch.setattr(commit.subprocess, "Popen", Watched)
    REAL_RUN("true")
    assert limits == [commit.COMMAND_LIMIT]


def test_a_revert_waits_for_no_applier_that_hangs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_network(host)
    host.arm()
    host.change.apply()
    monkeypatch.setattr(commit, "LOCK_LIMIT", 0.2)
    host.commands.clear()
    # It cannot even be killed: it waits for a device, and keeps its lock.
    with (host.root / "var/lib/cairn/network/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        host.change.revert("nobody confirmed within the window")
        assert old_network(host) == old
        with pytest.raises(commit.BusyError, match=r"longer than 0\.2 s"):
            host.arm()
    assert host.commands[:2] == [
        "systemctl stop cairn-network-apply.timer",
        "systemctl kill --signal=KILL cairn-network-apply.service",
    ]


def test_an_applier_does_not_end_itself(host: Host) -> None:
    host.arm()
    host.failing = "systemctl enable --quiet systemd-networkd"
    host.change.apply()
    assert not any(c.startswith("systemctl kill") for c in host.commands)


def test_systemd_ends_an_applier_at_the_end_of_the_window(host: Host) -> None:
    host.arm()
    applier = next(c for c in host.commands if c.endswith("netcommit.py apply"))
    assert "--property=RuntimeMaxSec=45s" in applier


@pytest.mark.parametrize("hanging", ["networkctl", "systemctl", "udevadm", "ifup", "ip address"])
def test_a_manager_that_fails_or_hangs_keeps_no_revert_from_its_end(
    host: Host, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.kernel.ifupdown_has = ["eth0"]
    host.kernel.networkd_state = {"active": True, "enabled": True}
    files, _, cards = old_network(host)
    host.arm()
    host.change.apply()
    run = host.run

    def hang(*command: str, check: bool = True, limit: float = 0.0) -> str:
        if " ".join(command).startswith(hanging) or hanging in command:
            if check:
                raise commit.NetworkError(f"{hanging}: it did not end within 20 s")
            return ""
        return run(*command, check=check, limit=limit)

    monkeypatch.setattr(commit, "run", hang)
    host.change.revert("x")
    assert (host.files(), host.kernel.cards()) == (files, cards)
    assert not host.change.files.armed.exists()


# --- arming and confirming


@pytest.mark.parametrize("unit", [commit.TIMER, commit.APPLIER])
def test_half_an_arming_leaves_no_timer(host: Host, unit: str) -> None:
    host.failing = f"systemd-run --unit={unit}"
    with pytest.raises(commit.NetworkError, match="not touched"):
        host.arm()
    assert not host.kernel.timer
    assert not host.change.files.armed.exists()
    host.failing = ""
    host.arm()
    host.change.apply()
    assert host.change.status()["applied"]


def test_units_of_a_finished_change_are_stopped_before_the_next(host: Host) -> None:
    host.kernel.timer = True
    host.arm()
    stopped = next(n for n, c in enumerate(host.commands) if c.startswith("systemctl stop"))
    armed = next(n for n, c in enumerate(host.commands) if c.startswith("systemd-run"))
    assert stopped < armed
    for unit in ("revert.timer", "revert.service", "apply.timer", "apply.service"):
        assert f"cairn-network-{unit}" in host.commands[stopped]


def test_a_change_that_was_never_applied_is_not_confirmed(host: Host) -> None:
    host.arm()
    with pytest.raises(commit.NetworkError, match=r"nothing to confirm: .* not applied yet"):
        host.change.confirm()
    assert host.change.files.armed.exists()
    assert not (host.change.files.state / "confirmed.json").exists()


def test_a_confirmation_whose_answer_was_lost_may_be_repeated(host: Host) -> None:
    host.arm()
    host.change.apply()
    host.change.confirm("new")
    assert host.change.confirm("new")["confirmed"]
    with pytest.raises(commit.NetworkError, match="too late"):
        host.change.confirm("other")


def test_a_change_that_was_confirmed_once_is_not_when_it_is_tried_again_and_taken_back(
    host: Host,
) -> None:
    for last in (False, True):
        host.arm()
        host.change.apply()
        if last:
            host.change.revert("the window passed")
            with pytest.raises(commit.NetworkError, match="too late to confirm: the window"):
                host.change.confirm("new")
        else:
            host.change.confirm("new")


def test_a_change_that_is_being_taken_back_is_not_confirmed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.arm()
    host.change.apply()
    refused = []

    def confirm(_: object) -> None:
        monkeypatch.setattr(commit, "LOCK_LIMIT", 0.1)
        try:
            host.change.confirm()
        except commit.NetworkError as error:
            refused.append(str(error))

    monkeypatch.setattr(FakeKernel, "announce", lambda _self, devices: confirm(devices))
    host.change.revert("x")
    assert len(refused) == 1
    assert not (host.change.files.state / "confirmed.json").exists()


def test_a_boot_unit_that_was_written_but_not_enabled_is_enabled(host: Host) -> None:
    host.failing = f"systemctl enable {commit.BOOT_UNIT}"
    with pytest.raises(commit.NetworkError):
        host.arm()
    host.failing = ""
    host.commands.clear()
    host.arm()
    assert f"systemctl enable {commit.BOOT_UNIT}" in host.commands


def test_saved_files_come_back_where_a_link_is_not_possible(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_network(host)
    host.arm()
    host.change.apply()

    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(commit.os, "link", refuse)
    host.change.revert("x")
    assert old_network(host) == old


def test_a_file_that_something_is_mounted_on_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, present = tmp_path / "saved", tmp_path / "resolv.conf"
    saved.write_text("old\n")
    present.write_text("new\n")

    def refuse(_self: Path, _target: Path) -> Path:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", refuse)
    commit.put_back(saved, present)
    assert present.read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resolv.conf", "saved"]
