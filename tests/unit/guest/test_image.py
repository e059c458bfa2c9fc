"""The parts of the test guest that need neither network nor emulator."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from guest import image, packages
from guest.image import Entry
from lab.run import LabError

SCRIPTS = [entry.path for entry in image.own_files()]


def unpack(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Read a newc archive back: name, mode and content of each entry before the trailer."""
    entries: list[tuple[str, int, bytes]] = []
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        at = -(-(at + 110 + name_size) // 4) * 4
        content = archive[at : at + size]
        at = -(-(at + size) // 4) * 4
        if name == "TRAILER!!!":
            return entries
        entries.append((name, mode, content))


def test_an_archive_reads_back_whatever_the_lengths_of_names_and_contents() -> None:
    files = [Entry("n" * n, stat.S_IFREG | 0o644, b"c" * n) for n in range(1, 9)]
    assert unpack(image.cpio(files)) == [(e.path, e.mode, e.content) for e in files]


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_cpio_itself_lists_our_archive() -> None:
    archive = image.cpio([Entry("a", stat.S_IFDIR | 0o755), Entry("a/b", stat.S_IFREG, b"text")])
    listed = subprocess.run(
        ["cpio", "--list", "--quiet"], input=archive, capture_output=True, check=True
    )
    assert listed.stdout.decode().split() == ["a", "a/b"]
    assert not listed.stderr


def test_the_console_is_a_device_so_that_init_has_somewhere_to_write() -> None:
    archive = image.cpio([Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))])
    assert archive[6 + 9 * 8 : 6 + 11 * 8] == b"0000000500000001"


def test_the_partition_table_has_one_active_partition_up_to_the_end() -> None:
    table = image.partition_table(2048, 47104)
    assert len(table) == 66
    assert table[0] == 0x80
    assert int.from_bytes(table[8:12], "little") == 2048
    assert int.from_bytes(table[12:16], "little") == 47104
    assert table[16:64] == bytes(48)
    assert table[64:] == b"\x55\xaa"


def test_the_kernel_is_the_one_that_the_meta_package_depends_on() -> None:
    text = "linux-image-cloud-amd64\n  Depends: linux-image-6.12.107+deb13-cloud-amd64\n"
    assert packages.depended_kernel(text) == "linux-image-6.12.107+deb13-cloud-amd64"


def test_a_meta_package_without_a_kernel_is_an_error() -> None:
    with pytest.raises(LabError, match="depends on no kernel"):
        packages.depended_kernel("linux-image-cloud-amd64\n")


def test_a_module_is_found_by_its_whole_name(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/modules/6.1/kernel/net"
    folder.mkdir(parents=True)
    (folder / "net_failover.ko.xz").touch()
    (folder / "failover.ko.xz").touch()
    fetched = packages.Fetched(tmp_path, "6.1")
    assert fetched.module("failover").name == "failover.ko.xz"
    with pytest.raises(LabError, match="has no module virtio_blk"):
        fetched.module("virtio_blk")


def test_apt_works_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Nothing of the machine's own state or sources is read or written."""
    options = packages.apt(tmp_path)
    shown = subprocess.run(
        ["apt-config", *options, "dump"], capture_output=True, text=True, check=True
    ).stdout
    for name in ("Dir::State", "Dir::Cache", "Dir::Etc::sourcelist"):
        assert f'{name} "{tmp_path}' in shown
    assert 'Dir::Etc::sourceparts "/dev/null";' in shown


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_the_guest_is_sound(name: str) -> None:
    """A syntax error in the guest would show only as an instance that never answers."""
    path = image.ROOT / name
    assert path.read_text().startswith("#!/bin/busybox sh\n")
    subprocess.run(["sh", "-n", str(path)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=dash", str(path)], check=True)


def test_a_disk_that_comes_or_goes_is_left_out(tmp_path: Path) -> None:
    """Its folder is there before its size is, and after."""
    for name, size in (("vda", "9"), ("vdb", "2048"), ("vdc", None), ("vdd", "4096")):
        (tmp_path / name).mkdir()
        if size is not None:
            (tmp_path / name / "size").write_text(f"{size}\n")
    script = (image.ROOT / "www/cgi-bin/disks").read_text().replace("/sys/block", str(tmp_path))
    shown = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True).stdout
    assert json.loads(shown.partition("\n\n")[2]) == [
        {"name": "vdb", "bytes": 1024**2},
        {"name": "vdd", "bytes": 2 * 1024**2},
    ]
