"""The disk image that every guest starts from: a bare Debian 13 server."""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path

from lab import cache, machine
from lab.run import Progress, call

# What Debian's installer leaves on a server with an SSH server and nothing else.
PACKAGES = [
    "apt-utils", "ca-certificates", "cron", "dbus", "dbus-user-session", "debian-archive-keyring",
    "e2fsprogs", "iproute2", "iputils-ping", "kmod", "less", "libpam-systemd", "logrotate",
    "nano", "netbase", "nftables", "openssh-server", "passwd", "procps", "python3", "python3-apt",
    "sudo", "systemd", "systemd-sysv", "tzdata", "udev", "vim-tiny",
]  # fmt: skip
SIZE_GB = 20
CLOCK = Path(__file__).with_name("clock.sh")
CLOCK_UNIT = """\
[Unit]
Description=Follow the clock of the machine below
ConditionPathExists=/sys/class/rtc/rtc0/since_epoch

[Service]
ExecStart=/bin/bash /usr/local/sbin/lab-clock

[Install]
WantedBy=multi-user.target
"""
LABEL = "cairn-root"


def build(kernel: Path) -> Path:
    """The raw ext4 image with the modules of `kernel`, a kernel's cache entry."""
    files = _files()
    name = cache.key(
        kernel.name, *PACKAGES, *machine.sources(), *machine.apt_options(), repr(sorted(files)),
        *(data for _, data in sorted(files.items())), *map(str, machine.certificates().items()),
        inspect.getsource(sys.modules[__name__]),
    )  # fmt: skip
    return (
        cache.entry(f"image-{name}", lambda folder, fd: _build(kernel, files, folder, fd)) / "disk"
    )


def _files() -> dict[str, bytes]:
    """Files of every guest: path to content."""
    texts = {
        "etc/apt/sources.list": "".join(f"{line}\n" for line in machine.sources()),
        "etc/apt/apt.conf.d/90lab": "".join(f"{line}\n" for line in machine.apt_options()),
        # Guests are as safe as the machine's memory anyway: no sync for each unpacked file.
        "etc/dpkg/dpkg.cfg.d/lab": "force-unsafe-io\n",
        "etc/locale.conf": "LANG=C.UTF-8\n",
        "etc/environment": "".join(f'{k}="{v}"\n' for k, v in machine.environment().items()),
        "etc/fstab": f"LABEL={LABEL} / ext4 defaults,noatime 0 0\n",
        "etc/resolv.conf": machine.resolv_conf(),
        "etc/ssh/sshd_config.d/lab.conf": "PasswordAuthentication no\nUseDNS no\n",
        "etc/systemd/journald.conf.d/lab.conf":
            "[Journal]\nStorage=persistent\nSystemMaxUse=200M\nForwardToConsole=no\n",
        "usr/local/sbin/lab-clock": CLOCK.read_text(),
        "etc/systemd/system/lab-clock.service": CLOCK_UNIT,
    }  # fmt: skip
    texts |= machine.python_indexes()
    return {name: text.encode() for name, text in texts.items() if text}


def _build(kernel: Path, files: dict[str, bytes], folder: Path, descriptor: int) -> None:
    progress = Progress("guest image")
    root = folder / "root"
    log = cache.root() / "image.log"
    machine.bootstrap(root, PACKAGES, progress, log, descriptor)
    for own in root.glob("etc/apt/apt.conf.d/*mmdebstrap*"):
        own.unlink()
    for name, data in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(data)
    for name, data in machine.certificates().items():
        (root / "usr/local/share/ca-certificates" / name).write_bytes(data)
    call(["chroot", str(root), "update-ca-certificates"])
    for own_key in root.glob("etc/ssh/ssh_host_*"):
        own_key.unlink()
    enable = ["systemctl", f"--root={root}"]
    call([*enable, "enable", "systemd-networkd.service", "ssh.service", "lab-clock.service"])
    # No login on consoles that are only logs, no package runs that nobody asked for.
    call([*enable, "mask", "getty@.service", "serial-getty@.service", "console-getty.service",
          "apt-daily.timer", "apt-daily-upgrade.timer"])  # fmt: skip
    release = (kernel / "release").read_text().strip()
    modules = root / "lib/modules" / release
    shutil.copytree(kernel / "modules", modules)
    call(["depmod", "--basedir", str(root), release])
    progress.show("writing the file system")
    disk = folder / "disk"
    zeroed = "lazy_itable_init=0,assume_storage_prezeroed=1"
    call(["mke2fs", "-q", "-t", "ext4", "-L", LABEL, "-E", zeroed, "-d", str(root),
          str(disk), f"{SIZE_GB}G"])  # fmt: skip
    disk.chmod(0o444)
    shutil.rmtree(root)
    progress.show("done", now=True)
