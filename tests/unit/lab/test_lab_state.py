"""What a lab keeps on disk, and how it tells its own processes from others."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import cli, machines, state
from lab.inventory import Site
from lab.run import LabError
from lab.state import Process, State

Spawn = Callable[[dict[str, str]], "subprocess.Popen[bytes]"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(State, "runtime", tmp_path / "run")
    return State("unit", tmp_path)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started: list[subprocess.Popen[bytes]] = []

    def run(environment: dict[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            env=environment,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_machine_is_known_by_its_mark(lab: State, spawn: Spawn) -> None:
    name, value = lab.mark("alpha").split("=", 1)
    process = spawn({name: value})
    spawn({name: str(lab.folder.with_name("other") / "alpha")})
    spawn({})
    assert wait_for(lambda: "alpha" in lab.running())
    assert {host: found.pid for host, found in lab.running().items()} == {"alpha": process.pid}


def test_a_lab_of_the_same_name_in_another_checkout_is_respected(lab: State, spawn: Spawn) -> None:
    lab.refuse_namesake()
    other = State(lab.name, lab.folder.parent / "elsewhere/.lab")
    name, value = other.mark("alpha").split("=", 1)
    spawn({name: value})
    assert wait_for(lambda: "alpha" in other.running())
    with pytest.raises(LabError, match=f"another lab unit is running, that of {lab.folder.parent}"):
        lab.refuse_namesake()
    other.refuse_namesake()


def test_what_a_machine_starts_is_no_machine(lab: State) -> None:
    name, value = lab.mark("alpha").split("=", 1)
    child = subprocess.Popen(["sleep", "60"], env={name: value, "PATH": os.environ["PATH"]})
    try:
        assert not wait_for(lambda: bool(lab.running()))
    finally:
        child.kill()
        child.wait()


def test_a_killed_machine_is_gone_before_anyone_has_waited_for_it(lab: State, spawn: Spawn) -> None:
    name, value = lab.mark("alpha").split("=", 1)
    process = spawn({name: value})
    assert wait_for(lambda: "alpha" in lab.running())
    found = lab.running()["alpha"]
    found.kill()
    assert wait_for(lambda: not found.alive)
    assert process.returncode is None
    assert lab.running() == {}


def test_a_later_process_of_the_same_number_is_another(spawn: Spawn) -> None:
    process = spawn({})
    known = Process.of(process.pid)
    earlier = dataclasses.replace(known, started=known.started - 1)
    assert known.alive
    assert not earlier.alive
    earlier.kill()
    time.sleep(0.05)
    assert process.poll() is None


def test_no_process_is_an_error() -> None:
    with pytest.raises(ProcessLookupError):
        Process.of(2**22 + 1)


@pytest.mark.parametrize("name", ["", "Lab", "1st", "a/b", "a" * 32, "lab.lock"])
def test_names_that_are_no_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        State(name, tmp_path)


def test_keys_are_made_once(lab: State, site: Site) -> None:
    lab.make(site)
    before = {path.name: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    lab.make(site)
    after = {path.name: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    assert after == before
    assert lab.file("id_ed25519").stat().st_mode & 0o777 == 0o600


def test_host_keys_are_known_before_the_first_boot(lab: State, site: Site) -> None:
    lab.make(site)
    key = lab.file("hostkeys/alpha.pub").read_text().split()[1]
    assert f"alpha,198.18.0.11 ssh-ed25519 {key}" in lab.file("known_hosts").read_text()
    files = lab.guest_files(site.host("alpha"))
    assert files["etc/ssh/ssh_host_ed25519_key"][1] == 0o600
    assert key.encode() in files["etc/ssh/ssh_host_ed25519_key.pub"][0]


def test_ssh_checks_host_keys_and_goes_through_the_namespace(lab: State, site: Site) -> None:
    lab.make(site)
    shown = subprocess.run(
        ["ssh", "-G", "-F", str(lab.file("ssh_config")), "beta"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "hostname 198.18.0.12\n" in shown
    assert "stricthostkeychecking true\n" in shown
    assert "proxyusefdpass yes\n" in shown
    assert "/run/netns/cairn-unit %h %p" in shown
    assert f"userknownhostsfile {lab.file('known_hosts')}\n" in shown


def test_the_operator_s_python_enters_the_namespace(lab: State) -> None:
    lines = state.python_wrapper("unit").splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[1] == f'exec nsenter --net=/run/netns/cairn-unit -- {sys.executable} "$@"'


def test_machine_ids_are_proper_and_differ(lab: State, site: Site) -> None:
    lab.make(site)
    ids = {lab.guest_files(host)["etc/machine-id"][0].strip() for host in site.hosts}
    assert len(ids) == 2
    assert all(len(value) == 32 and int(value, 16) for value in ids)


def test_a_bare_host_has_its_management_address_and_no_other(site: Site) -> None:
    units = state.boot_network(site.host("alpha"))
    assert units == {
        "etc/systemd/network/10-bootstrap.network": (
            "[Match]\nMACAddress=52:54:00:18:00:11\nType=ether\n\n"
            "[Network]\nAddress=198.18.0.11/24\nIPv6AcceptRA=no\nGateway=198.18.0.1\n"
        )
    }


def test_a_tagged_management_plane_boots_tagged(site: Site) -> None:
    host = dataclasses.replace(site.host("alpha"), boot_vlan=10)
    units = state.boot_network(host)
    assert "Id=10" in units["etc/systemd/network/10-bootstrap.netdev"]
    assert "\nAddress=" not in units["etc/systemd/network/10-bootstrap.network"]
    assert "198.18.0.11/24" in units["etc/systemd/network/10-bootstrap-vlan.network"]


HOLD = """
import fcntl, sys, time
handle = open(sys.argv[1], "r+b")
fcntl.lockf(handle, fcntl.LOCK_EX)
print(flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("seconds", "limit"), [(0.5, 10), (10, 0.3)])
def test_a_disk_is_used_again_when_its_machine_has_let_go_of_it(
    tmp_path: Path, seconds: float, limit: float
) -> None:
    disk = tmp_path / "alpha.0"
    disk.touch()
    command = [sys.executable, "-c", HOLD, str(disk), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        began = time.monotonic()
        try:
            if seconds < limit:
                machines.wait_released(disk, limit)
                assert time.monotonic() - began > seconds / 2
            else:
                with pytest.raises(LabError, match=r"alpha\.0 is in use"):
                    machines.wait_released(disk, limit)
        finally:
            holder.kill()


def test_a_console_is_followed_and_a_missing_one_is_an_error(
    lab: State, site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "check_machine", lambda: None)
    monkeypatch.setattr(cli, "_hypervisor", lambda *_: None)
    monkeypatch.setattr(cli.inventory, "read", lambda _: site)
    monkeypatch.setattr(cli, "State", lambda _: lab)
    words = ["--inventory", "somewhere", "console", "alpha"]
    assert cli.main(words) == 1
    assert "alpha was never started" in capfd.readouterr().err
    lab.console(site.host("alpha")).parent.mkdir(parents=True)
    lab.console(site.host("alpha")).write_text("login:\n")
    run = subprocess.run
    # As far as a person would follow it.
    monkeypatch.setattr(
        subprocess, "run", lambda command, **more: run(["timeout", "1", *command], **more)
    )
    assert cli.main(words) == 0
    assert capfd.readouterr().out == "login:\n"
