"""Preserve drained servers and servers in maintenance across a reload of HAProxy.

`keep_state.py` reads the servers' states from the running HAProxy and writes those of servers that
an operator took out of service to the state file, which HAProxy reads at start-up. HAProxy also
takes a server's port from there, so the file contains the port of the new configuration. Servers
that the configuration no longer has are left out.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path

SOCKET = "/run/haproxy/admin.sock"
STATE = Path("/run/haproxy/servers.state")
CONFIGURATION = Path("/etc/haproxy/haproxy.cfg")
# srv_admin_state, by HAProxy's management guide: set by an operator, not by checks or tracking.
FORCED_MAINTENANCE, FORCED_DRAIN = 0x01, 0x08
BACKEND, SERVER, ADMIN, PORT = 1, 3, 6, 18  # columns
SECTION = re.compile(r"^(\S+)\s+(\S+)")
LISTED = re.compile(r"^\s+server\s+(\S+)\s+\S+:(\d+)\b")


def ports(configuration: str) -> dict[tuple[str, str], str]:
    """Return the port of each server by backend and name."""
    found, section = {}, ""
    for line in configuration.splitlines():
        if match := SECTION.match(line):
            section = match[2]
        elif match := LISTED.match(line):
            found[section, match[1]] = match[2]
    return found


def kept(state: str, configuration: str) -> str:
    """Return the lines of `show servers state` that must survive a reload."""
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


def ask(command: str) -> str:
    """Send a command to HAProxy; return its answer."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(20)
        admin.connect(SOCKET)
        admin.sendall(f"{command}\n".encode())
        answer = b""
        while part := admin.recv(65536):
            answer += part
    return answer.decode()


def main() -> None:
    """Write the state file through a random temporary name: HAProxy's user can write there, too."""
    text = kept(ask("show servers state"), CONFIGURATION.read_text())
    descriptor, fresh = tempfile.mkstemp(dir=STATE.parent, prefix=".servers.state.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchmod(descriptor, 0o644)
    Path(fresh).replace(STATE)


if __name__ == "__main__":
    main()
