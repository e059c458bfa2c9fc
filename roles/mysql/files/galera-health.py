#!/usr/bin/python3
"""Tell the load balancer by HTTP whether this node of the cluster may serve: 200, or 503 and why.

Usage: galera-health ADDRESS PORT. Runs as the user that MariaDB knows by its socket.
"""

import http.server
import re
import subprocess
import sys
import threading
import time

INTERVAL = 2  # seconds between looks at the node, however many load balancers ask
# For so long a node that does not answer is taken for what it was: to send its clients away ends
# all that they have begun. The others of the cluster wait for a silent one just as long.
PATIENCE = 15
# No such socket, or nobody listens there: MariaDB does not run.
GONE = re.compile(r"ERROR 2002 .*\((2|111)\)")
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
    """Ask the node itself; what is wrong, or None. OSError where nobody can tell."""
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
    """What was last known of the node."""

    def __init__(self) -> None:
        """Nothing is known yet, which is not enough to serve."""
        self.found: str | None = None
        self.trouble = "no answer yet"  # why nobody could tell
        self.known = -float("inf")

    def renew(self) -> None:
        """Look once."""
        try:
            self.found = look()
            self.known = time.monotonic()
        except OSError as error:
            self.trouble = str(error)

    def get(self) -> str | None:
        """What is wrong, or None; an old answer is none, whatever kept the looks from ending."""
        return self.found if time.monotonic() <= self.known + PATIENCE else self.trouble


VERDICT = Verdict()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers any GET."""

    def do_GET(self) -> None:
        """Answer one check."""
        found = VERDICT.get()
        body = f"{found or 'serving'}\n".encode()
        self.send_response(503 if found else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A line for every check would be all that the journal holds."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Here, so that an error ends the service, and systemd starts it again.
    while True:
        VERDICT.renew()
        time.sleep(INTERVAL)
