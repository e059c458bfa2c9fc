"""From unpacked packages to a raw disk: an initramfs, a FAT file system, a boot loader.

Nothing is mounted and nothing needs root: the file system is filled by mtools and the boot loader
installs itself through them.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from guest.packages import Fetched
from lab.run import LabError, call

ROOT = Path(__file__).with_name("root")
# In the order in which they must be loaded.
MODULES = ["failover", "net_failover", "virtio_net", "virtio_blk"]
FOLDERS = [
    *("bin", "dev", "etc", "lib", "lib64", "modules", "proc", "run", "sys"),
    *("www", "www/cgi-bin"),
]
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = ["libssl.so.3", "libcrypto.so.3", "libc.so.6", "libz.so.1", "libzstd.so.1"]

SECTOR = 512
MEBIBYTE = 1024 * 1024
DISK = 24 * MEBIBYTE
PARTITION = MEBIBYTE  # where the one partition begins: room for the boot code before it
FAT16_LBA = 0x0E
MASTER_BOOT_RECORD = Path("/usr/lib/syslinux/mbr/mbr.bin")
# The console is the serial line that `openstack console log show` reads. Mitigations and a watch
# on the clock source cost an emulated processor seconds and protect nothing here.
COMMAND_LINE = (
    "console=tty0 console=ttyS0,115200 quiet mitigations=off tsc=unstable random.trust_cpu=on"
)
BOOT_MENU = f"""\
SERIAL 0 115200
DEFAULT cairn
PROMPT 0
LABEL cairn
  KERNEL vmlinuz
  INITRD initrd
  APPEND {COMMAND_LINE}
"""


@dataclass(frozen=True)
class Entry:
    """One name in an initramfs: its path, its mode with the file type, its content."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def cpio(entries: Iterable[Entry]) -> bytes:
    """An archive in the `newc` format, as the kernel's Documentation describes for initramfs."""
    archive = bytearray()

    def pad() -> None:
        archive.extend(b"\0" * (-len(archive) % 4))

    def add(inode: int, entry: Entry) -> None:
        name = entry.path.encode() + b"\0"
        links, owner, group, modified = 1, 0, 0, 0
        fields = [inode, entry.mode, owner, group, links, modified, len(entry.content),
                  0, 0, *entry.device, len(name), 0]  # fmt: skip
        archive.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        pad()
        archive.extend(entry.content)
        pad()

    for inode, entry in enumerate(entries, start=1):
        add(inode, entry)
    add(0, Entry("TRAILER!!!", 0))
    return bytes(archive)


def own_files() -> list[Entry]:
    """The project's own files of the guest; all are programs."""
    return [
        Entry(str(path.relative_to(ROOT)), stat.S_IFREG | 0o755, path.read_bytes())
        for path in sorted(ROOT.rglob("*"))
        if path.is_file()
    ]


def module_bytes(path: Path) -> bytes:
    """A kernel module's content, without the compression that Debian gives it."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def initramfs(fetched: Fetched) -> list[Entry]:
    """Everything that the guest's user space consists of."""
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in FOLDERS]
    # The kernel opens /dev/console before anything of ours could mount /dev.
    entries.append(Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    programs = {"bin/busybox": fetched.busybox, "bin/openssl": fetched.openssl}
    programs |= {f"lib64/{LOADER}": fetched.library(LOADER)}
    programs |= {f"lib/{name}": fetched.library(name) for name in LIBRARIES}
    for path, source in programs.items():
        entries.append(Entry(path, stat.S_IFREG | 0o755, source.read_bytes()))
    for name in MODULES:
        content = module_bytes(fetched.module(name))
        entries.append(Entry(f"modules/{name}.ko", stat.S_IFREG | 0o644, content))
    order = "".join(f"{name}.ko\n" for name in MODULES).encode()
    entries.append(Entry("modules/order", stat.S_IFREG | 0o644, order))
    return entries + own_files()


def partition_table(first: int, sectors: int) -> bytes:
    """The last 66 bytes of a master boot record with one active FAT partition (in sectors).

    The cylinder fields say "beyond what they can express", as for any disk that is addressed by
    logical blocks.
    """
    beyond = b"\xfe\xff\xff"
    partition = struct.pack("<B3sB3sII", 0x80, beyond, FAT16_LBA, beyond, first, sectors)
    return partition + b"\0" * 48 + b"\x55\xaa"


def write_disk(disk: Path, kernel: Path, initrd: bytes) -> None:
    """Write a raw disk that a BIOS boots; `disk` is made or overwritten."""
    if not MASTER_BOOT_RECORD.exists():
        raise LabError(f"{MASTER_BOOT_RECORD} is missing: the package syslinux-common has it")
    code = MASTER_BOOT_RECORD.read_bytes()
    table = partition_table(PARTITION // SECTOR, (DISK - PARTITION) // SECTOR)
    record = code.ljust(SECTOR - len(table), b"\0") + table
    with disk.open("wb") as file:
        file.write(record)
        file.truncate(DISK)
    kibibytes = str((DISK - PARTITION) // 1024)
    call(["/usr/sbin/mkfs.vfat", "-F", "16", "-i", "43414952", "--invariant",
          "--offset", str(PARTITION // SECTOR), str(disk), kibibytes])  # fmt: skip
    for name, content in {
        "vmlinuz": kernel.read_bytes(),
        "initrd": initrd,
        "syslinux.cfg": BOOT_MENU.encode(),
    }.items():
        source = disk.with_name(name)
        source.write_bytes(content)
        call(["mcopy", "-i", f"{disk}@@{PARTITION}", str(source), f"::{name}"])
        source.unlink()
    call(["syslinux", "--install", "--offset", str(PARTITION), str(disk)])


def build(fetched: Fetched, folder: Path) -> Path:
    """Make `disk.raw` in `folder` from fetched packages; returns its path."""
    disk = folder / "disk.raw"
    initrd = zlib.compressobj(9, wbits=31)  # 31: with the header and trailer of gzip
    packed = initrd.compress(cpio(initramfs(fetched))) + initrd.flush()
    write_disk(disk, fetched.kernel, packed)
    return disk
