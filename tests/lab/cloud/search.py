"""Search a host, as root, for secrets where others can read them; standard library only.

Standard input: JSON, the secrets by name under `secrets`. Standard output: a line for each finding,
which names the secret and the place and never shows the value.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

# These hold Debian's own files, as published; /usr/local is searched separately.
PUBLISHED = {"bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr"}
NO_FILES = {"proc", "sys", "dev"}
MORE_FOLDERS = ["/usr/local", "/dev/shm"]
# File systems of these types hold no written files, or another host's.
NO_DISKS = (
    *("proc", "sysfs", "cgroup2", "devtmpfs", "devpts", "debugfs", "tracefs", "securityfs", "bpf"),
    *("configfs", "pstore", "efivarfs", "mqueue", "hugetlbfs", "autofs", "binfmt_misc"),
    *("nfs", "nfs4", "fuse", "fusectl", "rpc_pipefs", "selinuxfs"),
)
LOGS = "/var/log"
ROOT_HOME = "/root"
VENVS = Path("/opt/cairn/venvs")
# Keys that were made on the host itself.
OWN_KEYS = ("etc/cairn/tls/host.key", "var/lib/keystone/*-keys/*")
# Readable by a group of several services on purpose: docs/manage-certificates.md.
SHARED = {"/etc/cairn/tls/host.key": "cairn-tls"}
SHORTEST_LINE = 40  # of a PEM text; shorter ones are its frame


def words(secrets: dict[str, str]) -> dict[str, str]:
    """What to look for, with its name: a value, or each long line of a text such as a key."""
    found = {}
    for name, value in secrets.items():
        lines = value.strip().splitlines()
        for line in lines:
            if len(lines) == 1 or (len(line) >= SHORTEST_LINE and " " not in line):
                found[line] = name
    return found


def own_keys(root: Path = Path("/")) -> dict[str, str]:
    """The keys that the host made for itself, by their place."""
    found = [path for pattern in OWN_KEYS for path in root.glob(pattern)]
    return {str(path): path.read_text() for path in found}


def shared_groups() -> list[int]:
    """Groups with more than one account besides root: what they can read, several accounts can."""
    members = {group.gr_gid: set(group.gr_mem) for group in grp.getgrall()}
    for account in pwd.getpwall():
        members.setdefault(account.pw_gid, set()).add(account.pw_name)
    return sorted(gid for gid, names in members.items() if len(names - {"root"}) > 1)


def group_name(path: str) -> str:
    """The name of a file's group, or its number."""
    try:
        return Path(path).group()
    except (KeyError, OSError):
        return ""


def folders(root: Path = Path("/")) -> list[str]:
    """Where files are that somebody wrote on this host."""
    top = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.is_symlink()]
    kept = [str(path) for path in top if path.name not in PUBLISHED | NO_FILES]
    return [*kept, *MORE_FOLDERS]


class Search:
    """grep for fixed strings, read from an unnamed file so that they are in no argument."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.words = words(secrets)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the search
        self.file.write("\n".join(self.words).encode())
        self.file.flush()

    def grep(self, *arguments: str, stdin: int | None = None, data: bytes | None = None) -> str:
        """What grep prints; its matches only."""
        handle = self.file.fileno()
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["grep", "-aoF", "-f", f"/proc/self/fd/{handle}", *arguments],
            input=data,
            stdin=(stdin or subprocess.DEVNULL) if data is None else None,
            stdout=subprocess.PIPE,
            pass_fds=[handle],
            check=False,
        )
        return done.stdout.decode(errors="replace")

    def text(self, place: str, data: bytes) -> set[str]:
        """Search a text."""
        return {f"{self.words[word]}: {place}" for word in self.grep("-h", data=data).splitlines()}

    def command(self, place: str, argv: list[str]) -> set[str]:
        """Search what a command prints."""
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            said = self.grep("-h", stdin=process.stdout.fileno())
        if process.returncode:
            raise RuntimeError(f"{argv[0]} failed: exit {process.returncode}")
        return {f"{self.words[word]}: {place}" for word in said.splitlines()}

    def files(
        self, folders: Iterable[str], *, everybody: bool = False, groups: bool = False
    ) -> set[str]:
        """Search files below folders, on any disk: all, or those that more than one account reads.

        everybody: those that everybody can open. groups: those that a group of several accounts
        can open; a service's own group has one.
        """
        there = [folder for folder in folders if Path(folder).exists()]
        # What was installed by hash, and not changed since, is as published.
        published = [
            word
            for stamp in VENVS.glob("*/.cairn-complete")
            for word in ("!", "(", "-path", f"{stamp.parent}/*", "!", "-newer", str(stamp), ")")
        ]
        kinds = [word for kind in NO_DISKS for word in ("-o", "-fstype", kind)][1:]
        elsewhere = ["(", *kinds, ")", "-prune", "-o"]
        closed = ["-type", "d", "!", "-perm", "-o=x", "-prune", "-o"] if everybody else []
        readable = ["-perm", "-o=r"] if everybody else []
        if groups:
            shared = [word for gid in shared_groups() for word in ("-o", "-gid", str(gid))][1:]
            readable = ["-perm", "-g=r", "(", *(shared or ["-false"]), ")"]
        wanted = ["-type", "f", *readable, *published, "-print0"]
        listing = subprocess.run(
            ["find", *there, *elsewhere, *closed, *wanted],
            capture_output=True,
            check=False,  # files come and go
        ).stdout
        handle = self.file.fileno()
        said = subprocess.run(
            ["xargs", "-0", "-r", "grep", "-aoHZF", "-f", f"/proc/self/fd/{handle}", "--"],
            input=listing,
            capture_output=True,
            pass_fds=[handle],
            check=False,
        ).stdout.decode(errors="replace")
        found = set()
        for line in said.splitlines():
            path, _, word = line.partition("\0")
            if not (groups and SHARED.get(path) == group_name(path)):
                found.add(f"{self.words[word]}: {path}")
        return found

    def processes(self) -> set[str]:
        """Search arguments, which everybody sees, and environment of every process.

        The environment is seen by its user only; but children, core files and errors inherit it.
        """
        found = set()
        for file, what in (("cmdline", "arguments"), ("environ", "environment")):
            for path in Path("/proc").glob(f"[0-9]*/{file}"):
                try:
                    data = path.read_bytes()
                except OSError:
                    continue  # it ended meanwhile
                if any(word.encode() in data for word in self.words):
                    found |= self.text(f"{what} of {path.parent.name}", data)
        return found


def main() -> int:
    """Search this host."""
    search = Search(json.load(sys.stdin)["secrets"] | own_keys())
    found = search.files(folders(), everybody=True)
    found |= search.files(folders(), groups=True)
    # Only root reads these, and still no secret belongs there: histories, forgotten copies.
    found |= search.files([LOGS, ROOT_HOME])
    found |= search.processes()
    # Every field of the journal: also the arguments of the process that wrote to it.
    found |= search.command("journal", ["journalctl", "--output=export", "--all", "--merge"])
    show = ["systemctl", "show", "*", "--property=Environment,ExecStart", "--no-pager"]
    found |= search.command("a unit's environment or command", show)
    sys.stdout.writelines(f"{line}\n" for line in sorted(found))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
