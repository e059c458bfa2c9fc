#!/usr/bin/python3
"""Health check for the load balancer over HTTP: 200 if this Galera node can serve, else 503.

Usage: galera-health ADDRESS PORT. The body of a 503 has the reason. Runs as a user that MariaDB
authenticates by its socket.
"""

import http.server
import re
import subprocess
import sys
import threading
import time

INTERVAL = 2  # seconds between checks of the node, independent of the number of requests
# Seconds for which a node that does not answer keeps its last state: moving its clients aborts
# their transactions. The other nodes of the cluster wait as long for a silent one.
PATIENCE = 15
# The socket does not exist or nothing listens on it: MariaDB is not running.
GONE = re.compile(r"ERROR 2002 .*\((2|111)\)")
QUERY = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state_comment')"


def problem(status: str) -> str | None:
    """Return why a node cannot serve, or None, from its status variables (name, tab, value)."""
    values = dict(line.split("\t", 1) for line in status.splitlines() if "\t" in line)
    if values.get("wsrep_ready") != "ON":
        return f"not ready: {values.get('wsrep_local_state_comment', 'no wsrep status')}"
    # A donor can serve, too: mariabackup takes no locks.
    if values.get("wsrep_local_state_comment") not in ("Synced", "Donor/Desynced"):
        return f"not in step: {values.get('wsrep_local_state_comment')}"
    return None


def look() -> str | None:
    """Query the node; return what is wrong, or None. Raise OSError if its state is unknown."""
    command = ["mariadb", "--batch", "--skip-column-names", "--connect-timeout=4", "-e", QUERY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=6, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("no answer within 6 s") from error
    said = done.stderr.strip()
    if done.returncode and not GONE.search(said):
        raise OSError(said)
    return said if done.returncode else problem(done.stdout)


class Verdict:
    """The last known state of the node."""

    def __init__(self) -> None:
        """Start with an unknown state, in which the node does not serve."""
        self.found: str | None = None
        self.trouble = "no answer yet"  # why the state is unknown
        self.known = -float("inf")

    def renew(self) -> None:
        """Query the node once."""
        try:
            self.found = look()
            self.known = time.monotonic()
        except OSError as error:
            self.trouble = str(error)

    def get(self) -> str | None:
        """Return what is wrong, or None; a result older than PATIENCE does not count."""
        return self.found if time.monotonic() <= self.known + PATIENCE else self.trouble


VERDICT = Verdict()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self) -> None:
        """Answer one check."""
        found = VERDICT.get()
        body = f"{found or 'serving'}\n".encode()
        self.send_response(503 if found else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a line per check would flood the journal."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # In the main thread, so that an error ends the service and systemd restarts it.
    while True:
        VERDICT.renew()
        time.sleep(INTERVAL)
