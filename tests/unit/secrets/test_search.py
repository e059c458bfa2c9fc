"""The search for secrets finds what others can read, and shows no value."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

SECRET = "Zr9xQ2mB7vLk4pTn"


@pytest.fixture
def search(script: Callable[[str], ModuleType]) -> Any:
    module = script("tests/lab/cloud/search.py")
    return module.Search({"queue_nova": SECRET, "ca_key": "-----BEGIN\n" + "ab1/" * 16 + "\n"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as open as those of a host; pytest closes its own."""
    place = tmp_path / "open"
    place.mkdir(mode=0o755)
    return place


def put(folder: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_open_files_are_searched_and_values_never_shown(search: Any, folder: Path) -> None:
    put(folder, "a.conf", f"url = rabbit://nova:{SECRET}@192.0.2.1\n")
    put(folder, "b/key.pem", "x\n" + "ab1/" * 16 + "\n")
    put(folder, "closed.conf", SECRET, 0o640)
    put(folder, "clean.conf", "nothing")
    found = search.files([str(folder)], everybody=True)
    assert found == {f"queue_nova: {folder}/a.conf", f"ca_key: {folder}/b/key.pem"}
    assert search.files([str(folder)], everybody=False) == found | {
        f"queue_nova: {folder}/closed.conf"
    }


def test_what_lies_in_a_closed_folder_is_out_of_reach(search: Any, folder: Path) -> None:
    put(folder, "closed/a.conf", SECRET)
    (folder / "closed").chmod(0o750)
    assert search.files([str(folder)], everybody=True) == set()
    # A user who knows a name needs no listing.
    (folder / "closed").chmod(0o711)
    assert search.files([str(folder)], everybody=True) == {f"queue_nova: {folder}/closed/a.conf"}


def test_of_a_virtualenv_only_what_changed_since_its_hashes_were_checked_is_searched(
    search: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[type(search).__module__], "VENVS", folder / "venvs")
    for name in ("old.py", ".cairn-complete", "new.py"):
        put(folder, f"venvs/nova-1/{name}", SECRET)
        os.utime(folder / "venvs/nova-1" / name, ns=(0, {"old.py": 1, "new.py": 3}.get(name, 2)))
    found = search.files([str(folder)], everybody=True)
    assert found == {f"queue_nova: {folder}/venvs/nova-1/new.py"}


def test_arguments_of_processes_are_searched(search: Any) -> None:
    command = [sys.executable, "-c", "input(1)", SECRET]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.read(1)  # a process has its arguments a moment after it was started
        found = search.processes()
        process.communicate(b"\n")
    assert f"queue_nova: arguments of {process.pid}" in found


def test_environments_of_processes_are_searched(search: Any) -> None:
    command = [sys.executable, "-c", "input(1)"]
    environment = {**os.environ, "OS_BOOTSTRAP_PASSWORD": SECRET}
    with subprocess.Popen(command, stdin=-1, stdout=-1, env=environment) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        found = search.processes()
        process.communicate(b"\n")
    assert f"queue_nova: environment of {process.pid}" in found


def test_what_a_group_of_several_accounts_reads_is_searched(
    search: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules[type(search).__module__]
    put(folder, "a.conf", SECRET, 0o640)
    put(folder, "closed/b.conf", SECRET, 0o660)
    put(folder, "alone.conf", SECRET, 0o600)
    (folder / "closed").chmod(0o700)
    gid = folder.stat().st_gid
    for groups, found in (([], []), ([gid + 1], []), ([gid + 1, gid], ["a.conf", "closed/b.conf"])):
        monkeypatch.setattr(module, "shared_groups", lambda groups=groups: groups)
        readable = {f"queue_nova: {folder}/{name}" for name in found}
        assert search.files([str(folder)], groups=True) == readable
    monkeypatch.setattr(module, "SHARED", {f"{folder}/a.conf": (folder / "a.conf").group()})
    assert search.files([str(folder)], groups=True) == {f"queue_nova: {folder}/closed/b.conf"}


def test_a_group_is_shared_by_its_members_and_by_those_whose_own_it_is(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("tests/lab/cloud/search.py")
    group = {"nova": (10, []), "tls": (11, ["neutron", "mysql"]), "own": (12, ["root", "nova"])}
    groups = [SimpleNamespace(gr_gid=gid, gr_mem=members) for gid, members in group.values()]
    names = [("nova", 10), ("ops", 13), ("dev", 13), ("root", 0)]
    users = [SimpleNamespace(pw_name=name, pw_gid=gid) for name, gid in names]
    monkeypatch.setattr(module.grp, "getgrall", lambda: groups)
    monkeypatch.setattr(module.pwd, "getpwall", lambda: users)
    assert module.shared_groups() == [11, 13]


def test_all_folders_but_those_of_debian_and_of_the_kernel_are_searched(
    script: Callable[[str], ModuleType], folder: Path
) -> None:
    module = script("tests/lab/cloud/search.py")
    for name in ("etc", "usr", "proc", "sys", "dev", "root", "data", "mnt"):
        (folder / name).mkdir()
    (folder / "bin").symlink_to("usr/bin")
    put(folder, "initrd.img", "")
    found = [str(folder / name) for name in ("data", "etc", "mnt", "root")]
    assert module.folders(folder) == [*found, "/usr/local", "/dev/shm"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_other_disks_are_searched_and_what_is_no_disk_is_not(search: Any, folder: Path) -> None:
    for name, kind in (("disk", "tmpfs"), ("kernel", "proc")):
        (folder / name).mkdir()
        subprocess.run(["mount", "-t", kind, kind, str(folder / name)], check=True)
    try:
        put(folder, "disk/a.conf", SECRET)
        assert search.files([str(folder)], everybody=True) == {f"queue_nova: {folder}/disk/a.conf"}
    finally:
        for name in ("disk", "kernel"):
            subprocess.run(["umount", str(folder / name)], check=True)


def test_what_commands_print_is_searched(search: Any) -> None:
    assert search.command("journal", ["printf", f"a\\0b {SECRET}\\n"]) == {"queue_nova: journal"}
    assert search.command("journal", ["printf", "a"]) == set()
    with pytest.raises(RuntimeError, match="false failed"):
        search.command("journal", ["false"])
