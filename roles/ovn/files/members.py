#!/usr/bin/python3
"""Wait until this controller's OVN databases are cluster members; remove their predecessors.

Usage: members ADDRESS [SECONDS]. A rebuilt controller joins as a new member; the old member must be
removed, since it would still count for the majority. Prints the members that it has removed.
"""

import re
import subprocess
import sys
import time

DATABASES = {"nb": "OVN_Northbound", "sb": "OVN_Southbound"}


def ask(short: str, *words: str) -> str:
    """Query a database server; return its output, or an empty text if it does not answer."""
    command = ["ovn-appctl", "--timeout=20", "-t", f"/run/ovn/ovn{short}_db.ctl", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def member(status: str) -> bool:
    """Return whether the server with this cluster status is a member and knows a leader."""
    leader = re.search(r"^Leader: (\S+)", status, re.M)
    return "Status: cluster member" in status and bool(leader) and leader[1] != "unknown"


def gone(status: str, address: str) -> list[str]:
    """Return the short ids of former members with this server's address."""
    own = re.search(r"^Server ID: (\w+)", status, re.M)
    servers = re.findall(r"^ +(\w+) \(\w+ at \w+:(\S+):\d+\)", status, re.M)
    if not own:
        return []
    return [name for name, where in servers if where.strip("[]") == address and name != own[1]]


def main() -> int:
    """Wait for membership and remove former members; return the exit code."""
    address, seconds = sys.argv[1], float((sys.argv[2:] or ["300"])[0])
    deadline = time.monotonic() + seconds
    for short, name in DATABASES.items():
        while not member(status := ask(short, "cluster/status", name)):
            if time.monotonic() > deadline:
                print(f"{name} is not a member of its cluster:\n{status}", file=sys.stderr)
                return 1
            time.sleep(2)
        for server in gone(status, address):
            print(ask(short, "cluster/kick", name, server) or f"{name}: {server} stays a member")
    return 0


if __name__ == "__main__":
    sys.exit(main())
