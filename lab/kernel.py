"""The User-Mode Linux kernel of the lab, built once from Debian's linux-source."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from lab import cache, machine
from lab.run import LabError, Progress, call, stream

CONFIG = Path(__file__).with_name("kernel.config")
PATCHES = sorted((Path(__file__).parent / "patches").glob("*.patch"))
# Debian's stable kernel has no UML that runs on processors with a large xsave area; 7.x has.
SOURCE = "linux-source-7.2"
TOOLS = [
    "bc", "bison", "cpio", "flex", "gcc", "kmod", "libc6-dev", "make", "patch", "perl", "xz-utils",
]  # fmt: skip
# Most of the source is drivers that the lab does not use: of these only Kconfig and Makefiles are
# unpacked.
UNUSED = [
    *(f"*/arch/{name}/*.[chS]" for name in ("arm", "arm64", "mips", "powerpc", "s390", "sparc")),
    *(f"*/drivers/{name}/*.[ch]" for name in ("gpu", "infiniband", "media", "staging", "usb")),
    *(f"*/drivers/net/{name}/*.[ch]" for name in ("ethernet", "wireless")),
    *("*/Documentation/*.rst", "*/sound/*.[ch]", "*/tools/testing/*", "*.dts", "*.dtsi"),
]
STEPS = 2044  # compiler and linker steps of the configuration, for the percentage shown
RECIPE = "1"  # raise it when the steps below change what comes out


def find() -> Path | None:
    """The built kernel of the present configuration, of whichever source version it was made."""
    return cache.find(_name())


def _name() -> str:
    patches = [path.read_bytes() for path in PATCHES]
    return f"kernel-{cache.key(CONFIG.read_bytes(), SOURCE, RECIPE, *patches)}-"


def build() -> Path:
    """A folder with `linux`, its `release`, `config` and `modules`; built if it is missing."""
    ready = find()
    if ready:
        return ready
    tools = toolchain()
    version = (tools / "source-version").read_text().strip()
    return cache.entry(_name() + version, lambda folder, fd: _compile(tools, folder, fd))


def toolchain() -> Path:
    """A Debian 13 root with compiler and kernel source: the machine's own must not be used."""
    lines = machine.sources(backports=True)
    return cache.entry(f"toolchain-{cache.key(SOURCE, RECIPE, *TOOLS, *lines)}", _toolchain)


def _toolchain(folder: Path, descriptor: int) -> None:
    progress = Progress("kernel toolchain")
    root = folder / "root"
    log = cache.root() / "toolchain.log"
    machine.bootstrap(root, [*TOOLS, SOURCE], progress, log, descriptor, backports=True)
    show = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-f${Version}", "-W", SOURCE]
    (folder / "source-version").write_text(call(show) + "\n")
    progress.show("done", now=True)


def _compile(tools: Path, folder: Path, descriptor: int) -> None:
    progress = Progress("kernel")
    root, log = tools / "root", cache.root() / "kernel.log"
    tree = folder / "tree"
    tree.mkdir()
    archive = root / "usr/src" / f"{SOURCE}.tar.xz"
    stream(
        ["tar", "--extract", "--file", str(archive), "--strip-components=1",
         "--directory", str(tree), *(f"--exclude={pattern}" for pattern in UNUSED)],
        progress, "unpacking the source", log, pass_fds=[descriptor],
    )  # fmt: skip
    shutil.copy(CONFIG, tree / "lab.config")
    for patch in PATCHES:
        call([*_enter(root, tree), "patch", "-p1"], input=patch.read_text())

    def make(phase: str, *words: str, count: str = "", total: int = 0) -> None:
        stream(
            [*_enter(root, tree), "make", "ARCH=um", *words],
            progress, phase, log, count=count, total=total, pass_fds=[descriptor],
        )  # fmt: skip

    make("configuring", "KCONFIG_ALLCONFIG=lab.config", "allnoconfig")
    missing = unmet(CONFIG.read_text(), (tree / ".config").read_text())
    if missing:
        raise LabError(
            f"the kernel source does not take these options of {CONFIG}: {', '.join(missing)}"
        )
    make("compiling", f"-j{os.cpu_count() or 2}", "linux", count=r"(CC|LD|AR|AS)\s", total=STEPS)
    modules = folder / "modules"
    modules.mkdir()
    for name in ("modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(tree / name, modules / name)
    (modules / "modules.order").touch()
    shutil.copy(tree / ".config", folder / "config")
    shutil.copy(tree / "include/config/kernel.release", folder / "release")
    shutil.copy(tree / "linux", folder / "linux")
    shutil.rmtree(tree)
    progress.show("done", now=True)


def _enter(root: Path, tree: Path) -> list[str]:
    """A command prefix: inside the toolchain, with the kernel tree at /mnt.

    Mounts and processes are in namespaces of their own: none of them outlives the build.
    """
    script = (
        'mount --bind "$1" "$2/mnt" && mount -t proc proc "$2/proc" && shift && exec chroot "$@"'
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", script,
            "sh", str(tree), str(root), "env", "-i", "-C/mnt", "PATH=/usr/sbin:/usr/bin",
            "HOME=/", "LC_ALL=C", "KBUILD_BUILD_USER=cairn", "KBUILD_BUILD_HOST=lab"]  # fmt: skip


def unmet(wanted: str, actual: str) -> list[str]:
    """Options of the configuration `wanted` that the resolved configuration `actual` lacks."""
    have = set(re.findall(r"(?m)^CONFIG_\w+=.+$", actual))
    return sorted(set(re.findall(r"(?m)^CONFIG_\w+=.+$", wanted)) - have)
