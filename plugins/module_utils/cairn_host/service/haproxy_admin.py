"""HAProxy's admin socket, for draining and for programs of their own on a controller.

Modules import it; and hosts run a copy with nothing else beside it, so it imports the standard
library only. The role loadbalancer installs one copy, draining another for its timer:

    keep_state.py                    preserve drained servers and those in maintenance on a reload
    haproxy_admin.py restore FILE    restore the servers that FILE (JSON) lists, and remove FILE

Names of servers are `backend/server`. HAProxy's management guide describes the commands and their
answers (`show stat`, `show servers state`, `set server`).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SOCKET = "/run/haproxy/admin.sock"
STATE = Path("/run/haproxy/servers.state")
CONFIGURATION = Path("/etc/haproxy/haproxy.cfg")
MAINTENANCE = "MAINT"
# srv_admin_state, by HAProxy's management guide: set by an operator, not by checks or tracking.
FORCED_MAINTENANCE, FORCED_DRAIN = 0x01, 0x08
BACKEND, SERVER, ADMIN, PORT = 1, 3, 6, 18  # columns of `show servers state`
SECTION = re.compile(r"^(\S+)\s+(\S+)")
LISTED = re.compile(r"^\s+server\s+(\S+)\s+\S+:(\d+)\b")
Ask = Callable[[str], str]


def ask(command: str) -> str:
    """Send HAProxy a command; returns its answer. OSError if HAProxy does not run."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(20)
        admin.connect(SOCKET)
        admin.sendall(f"{command}\n".encode())
        answer = b""
        while part := admin.recv(65536):
            answer += part
    return answer.decode()


def servers(asked: Ask = ask) -> dict[str, dict[str, str]]:
    """HAProxy's statistics of each server by its name. OSError if HAProxy does not run."""
    text = asked("show stat -1 4 -1").lstrip("# ")
    return {f"{row['pxname']}/{row['svname']}": row for row in csv.DictReader(io.StringIO(text))}


def ready(names: list[str], asked: Ask = ask) -> list[str]:
    """Restore drained servers, except those in maintenance; returns them."""
    rows = servers(asked)
    back = [n for n in names if n in rows and not rows[n]["status"].startswith(MAINTENANCE)]
    for name in back:
        asked(f"set server {name} state ready")
    return back


def restore(note: Path) -> None:
    """Restore the servers that a file lists, and remove the file; without the file, nothing."""
    if note.exists():
        ready(json.loads(note.read_text()))
        note.unlink(missing_ok=True)


def ports(configuration: str) -> dict[tuple[str, str], str]:
    """The port of each server by backend and name."""
    found, section = {}, ""
    for line in configuration.splitlines():
        if match := SECTION.match(line):
            section = match[2]
        elif match := LISTED.match(line):
            found[section, match[1]] = match[2]
    return found


def kept(state: str, configuration: str) -> str:
    """The lines of `show servers state` that must survive a reload.

    They are those of servers that an operator took out of service. HAProxy takes a server's port
    from there, too, so each line gets the port of the new configuration; servers that the
    configuration no longer has are left out.
    """
    known = ports(configuration)
    lines = []
    for line in state.splitlines():
        words = line.split()
        if line.startswith("#") or len(words) == 1:
            lines.append(line)
        elif len(words) > PORT and int(words[ADMIN]) & (FORCED_MAINTENANCE | FORCED_DRAIN):
            port = known.get((words[BACKEND], words[SERVER]))
            if port:
                lines.append(" ".join([*words[:PORT], port, *words[PORT + 1 :]]))
    return "".join(f"{line}\n" for line in lines)


def keep_state() -> None:
    """Write the file that HAProxy reads at start-up.

    Through a random temporary name, because HAProxy's user can write in that folder, too.
    """
    text = kept(ask("show servers state"), CONFIGURATION.read_text())
    descriptor, fresh = tempfile.mkstemp(dir=STATE.parent, prefix=".servers.state.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchmod(descriptor, 0o644)
    Path(fresh).replace(STATE)


def main(words: list[str]) -> int:
    """Run the program; returns its exit code."""
    if not words:
        keep_state()
    elif len(words) == 2 and words[0] == "restore":
        restore(Path(words[1]))
    else:
        print("usage: haproxy_admin.py [restore FILE]", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
