#!/usr/bin/python3
"""Tell the load balancer by HTTP whether this node of the cluster may serve: 200, or 503 and why.

Usage: galera-health ADDRESS PORT. Runs as the user that MariaDB knows by its socket.
"""

import http.server
import subprocess
import sys
import threading
import time

FRESH = 2  # seconds for which an answer serves the load balancers of all controllers
QUERY = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state_comment')"


def problem(status: str) -> str | None:
    """What keeps a node from serving, from its status variables (name, tab, value a line)."""
    values = dict(line.split("\t", 1) for line in status.splitlines() if "\t" in line)
    if values.get("wsrep_ready") != "ON":
        return f"not ready: {values.get('wsrep_local_state_comment', 'no wsrep status')}"
    # A donor serves as well: its backup does not lock.
    if values.get("wsrep_local_state_comment") not in ("Synced", "Donor/Desynced"):
        return f"not in step: {values.get('wsrep_local_state_comment')}"
    return None


def look() -> str | None:
    """Ask the node itself; what is wrong, or None."""
    command = ["mariadb", "--batch", "--skip-column-names", "--connect-timeout=2", "-e", QUERY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=4, check=False)
    except subprocess.TimeoutExpired:
        return "no answer within 4 s"
    return done.stderr.strip() if done.returncode else problem(done.stdout)


class Answer:
    """The last look at the node, which several may ask for at once."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.lock = threading.Lock()
        self.found: str | None = None
        self.until = 0.0

    def get(self) -> str | None:
        """What is wrong, or None; not older than FRESH."""
        with self.lock:
            if time.monotonic() > self.until:
                self.found = look()
                self.until = time.monotonic() + FRESH
            return self.found


ANSWER = Answer()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers any GET."""

    def do_GET(self) -> None:
        """Answer one check."""
        found = ANSWER.get()
        body = f"{found or 'serving'}\n".encode()
        self.send_response(503 if found else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A line for every check would be all that the journal holds."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
