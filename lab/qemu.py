"""Debian's own kernel for guests under QEMU, taken out of a Debian 13 root."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import cache, machine
from lab.run import Progress

PACKAGES = ["initramfs-tools", "linux-image-amd64", "zstd"]
RECIPE = "1"  # raise it when the steps below change what comes out


def kernel() -> Path:
    """A folder with `vmlinuz`, `initrd`, `release` and `modules`; built if it is missing."""
    lines = machine.sources()
    return cache.entry(f"debian-kernel-{cache.key(RECIPE, *PACKAGES, *lines)}", _build)


def _build(folder: Path, descriptor: int) -> None:
    progress = Progress("Debian's kernel")
    root = folder / "root"
    log = cache.root() / "debian-kernel.log"
    machine.bootstrap(root, PACKAGES, progress, log, descriptor)
    release = next((root / "lib/modules").iterdir()).name
    shutil.copy(root / f"boot/vmlinuz-{release}", folder / "vmlinuz")
    shutil.copy(root / f"boot/initrd.img-{release}", folder / "initrd")
    shutil.copytree(root / "lib/modules" / release, folder / "modules", symlinks=True)
    (folder / "release").write_text(f"{release}\n")
    shutil.rmtree(root)
    progress.show("done", now=True)
