"""Debian 13 packages fetched and unpacked beside the machine's own package system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab import machine
from lab.run import LabError, Progress, call, stream

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
KERNEL = "linux-image-cloud-amd64"
SHELL = "busybox-static"
# openssl verifies certificates, which busybox's own TLS does not; with the libraries it needs.
TLS = ("openssl", "libssl3t64", "libc6", "libzstd1", "zlib1g")


@dataclass(frozen=True)
class Fetched:
    """What the guest is made of: the unpacked tree and the kernel's release."""

    tree: Path
    release: str

    @property
    def kernel(self) -> Path:
        """The compressed kernel image."""
        return self.tree / "boot" / f"vmlinuz-{self.release}"

    @property
    def busybox(self) -> Path:
        """The statically linked busybox."""
        return self.tree / "usr/bin/busybox"

    @property
    def openssl(self) -> Path:
        """The program that speaks TLS."""
        return self.tree / "usr/bin/openssl"

    def library(self, name: str) -> Path:
        """A shared library, or the dynamic loader, by its soname."""
        return self.tree / "usr/lib/x86_64-linux-gnu" / name

    def module(self, name: str) -> Path:
        """The file of a kernel module (`name` without ending); LabError if there is none."""
        pattern = re.compile(rf"{re.escape(name)}\.ko(\.\w+)?$")
        for path in (self.tree / "usr/lib/modules" / self.release).rglob(f"{name}.ko*"):
            if pattern.fullmatch(path.name):
                return path
        raise LabError(f"Debian's kernel {self.release} has no module {name}")


def apt(folder: Path) -> list[str]:
    """Options that keep all of apt's state and configuration inside `folder`, for any user.

    The machine's settings on how to fetch (proxies, retries) are taken over, its sources are not:
    they may belong to another release of Debian.
    """
    own = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "state/status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    taken = [re.sub(r' "(.*)";$', r"=\1", line) for line in machine.apt_options()]
    return [word for option in [*(f"{k}={v}" for k, v in own.items()), *taken]
            for word in ("-o", option)]  # fmt: skip


def depended_kernel(depends: str) -> str:
    """The kernel package that the meta package's `apt-cache depends` text names."""
    found = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if not found:
        raise LabError(f"{KERNEL} of Debian {machine.SUITE} depends on no kernel: {depends!r}")
    return found[1]


def fetch(folder: Path, progress: Progress, log: Path) -> Fetched:
    """Fetch kernel, busybox and openssl of Debian 13 into `folder` and unpack them there."""
    for name in ("state/lists/partial", "cache/archives/partial", "tree"):
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()
    sources = [line.replace("deb ", f"deb [signed-by={KEYRING}] ", 1) for line in machine.sources()]
    (folder / "sources.list").write_text("\n".join(sources) + "\n")
    options = apt(folder)
    stream(["apt-get", *options, "update", "--error-on=any"], progress, "reading indexes", log)
    depends = call(["apt-cache", *options, "depends", "--no-recommends", KERNEL])
    kernel = depended_kernel(depends)
    stream(
        ["apt-get", *options, "download", kernel, SHELL, *TLS],
        progress, "downloading", log, cwd=folder / "cache",
    )  # fmt: skip
    tree = folder / "tree"
    for package in sorted((folder / "cache").glob("*.deb")):
        progress.show(f"unpacking {package.name}")
        call(["dpkg-deb", "--extract", str(package), str(tree)])
    return Fetched(tree, kernel.removeprefix("linux-image-"))
