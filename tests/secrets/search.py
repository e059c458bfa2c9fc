"""Search a host, as root, for secrets where others can read them; standard library only.

Standard input: JSON, the secrets by name under `secrets`. Standard output: a line for each finding,
which names the secret and the place and never shows the value.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

FOLDERS = ["/etc", "/var", "/opt", "/run", "/tmp", "/usr/local", "/home", "/srv"]
LOGS = "/var/log"
VENVS = Path("/opt/cairn/venvs")
# Keys that were made on the host itself.
OWN_KEYS = ("etc/cairn/tls/host.key", "var/lib/keystone/*-keys/*")
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


class Search:
    """grep for fixed strings, which it reads from an unnamed file: they stand in no argument."""

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

    def files(self, folders: Iterable[str], *, everybody: bool) -> set[str]:
        """Search files below folders: all, or those that everybody can open."""
        there = [folder for folder in folders if Path(folder).exists()]
        # What was installed by hash, and not touched since, is as it was published.
        published = [
            word
            for stamp in VENVS.glob("*/.cairn-complete")
            for word in ("!", "(", "-path", f"{stamp.parent}/*", "!", "-newer", str(stamp), ")")
        ]
        closed = ["-type", "d", "!", "-perm", "-o=x", "-prune", "-o"] if everybody else []
        readable = ["-perm", "-o=r"] if everybody else []
        listing = subprocess.run(
            ["find", *there, "-xdev", *closed, "-type", "f", *readable, *published, "-print0"],
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
            found.add(f"{self.words[word]}: {path}")
        return found

    def processes(self) -> set[str]:
        """Search the arguments of every process, which everybody sees."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                arguments = path.read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if any(word.encode() in arguments for word in self.words):
                found |= self.text(f"arguments of {path.parent.name}", arguments)
        return found


def main() -> int:
    """Search this host."""
    search = Search(json.load(sys.stdin)["secrets"] | own_keys())
    found = search.files(FOLDERS, everybody=True)
    found |= search.files([LOGS], everybody=False)
    found |= search.processes()
    # Every field of the journal: also the arguments of whoever wrote to it.
    found |= search.command("journal", ["journalctl", "--output=export", "--all", "--merge"])
    show = ["systemctl", "show", "*", "--property=Environment,ExecStart", "--no-pager"]
    found |= search.command("a unit's environment or command", show)
    sys.stdout.writelines(f"{line}\n" for line in sorted(found))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
