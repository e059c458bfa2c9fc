"""Stop nova-compute as soon as it has finished its work. Runs as root, as the unit's ExecStop.

Usage: MAINPID=… drain_compute.py NOVA_CONF SECONDS

On SIGTERM nova-compute takes no new work, waits for the calls that it is answering, and then sleeps
for manager_shutdown_timeout, since it does not know whether an instance is being built or moved.
Nova's API knows. When two answers in a row show no work on this host, this program ends the sleep.
If the API does not answer, it waits for SECONDS; nova itself ends a wait that takes too long.
"""

import contextlib
import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Logged by nova.service, at level DEBUG, when it has answered the last call.
ANSWERED = "nova-compute manager graceful shutdown started"
PAUSE = 1.0  # seconds between checks
TIMEOUT = 10.0  # timeout of a request in seconds
QUIET = 2  # answers in a row: work handed over inside nova-compute may be visible a moment later
LATELY = datetime.timedelta(minutes=10)
DONE = {"completed", "done", "finished", "confirmed", "reverted", "error", "failed", "cancelled"}


class Nova:
    """Nova's API, used with nova's service account."""

    def __init__(self, conf):
        """Read the account and the endpoint from nova.conf."""
        # These take seconds to import; SIGTERM has been sent by now.
        from keystoneauth1 import adapter, loading
        from oslo_config import cfg

        config = cfg.ConfigOpts()
        group = "service_user"
        loading.register_auth_conf_options(config, group)
        loading.register_session_conf_options(config, group)
        config.register_opt(cfg.StrOpt("host"))
        config(["--config-file", conf], project="nova")
        auth = loading.load_auth_from_conf_options(config, group)
        session = loading.load_session_from_conf_options(config, group, auth=auth)
        session.timeout = TIMEOUT  # for the token, too
        self.host = config.host
        self.api = adapter.Adapter(
            session, service_type="compute", interface="internal", connect_retries=0
        )

    def get(self, what, **query):
        """Return a list from the API."""
        words = "&".join(f"{key}={value}" for key, value in query.items())
        answer = self.api.get(f"/{what}?{words}")
        return answer.json()[what.partition("/")[0].removeprefix("os-")]

    def busy(self):
        """Return the ids of instances with work on this host, or possibly about to have some."""
        here = self.get("servers/detail", all_tenants=1, host=self.host)
        found = [one["id"] for one in here if one["OS-EXT-STS:task_state"]]
        moved = self.get("os-migrations", host=self.host)
        found += [one["instance_uuid"] for one in moved if one["status"] not in DONE]
        # An instance has no host yet when nova-compute starts to build it.
        since = (datetime.datetime.now(datetime.UTC) - LATELY).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"all_tenants": 1, "status": "BUILD", "changes-since": since}
        built = self.get("servers/detail", **query)
        return found + [one["id"] for one in built if not one["OS-EXT-SRV-ATTR:host"]]


def alive(pid):
    """Return whether the process still exists."""
    return Path(f"/proc/{pid}").exists()


def answered(since):
    """Return whether nova-compute has answered the calls that it had at SIGTERM."""
    command = ["journalctl", "--unit=nova-compute", f"--since=@{int(since)}", "--output=cat"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ANSWERED in done.stdout


def processes(pid):
    """Return the processes of the unit other than this one."""
    path = Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition(":")[2]
    members = Path(f"/sys/fs/cgroup{path}/cgroup.procs").read_text().split()
    return [int(member) for member in members if int(member) != os.getpid()]


def end(pid):
    """Kill the remaining processes of the unit."""
    with contextlib.suppress(OSError):
        for member in processes(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)


def finish(pid, nova, blind, clock=time.monotonic, pause=time.sleep):
    """Send SIGTERM to the process and wait for its end; yield messages about the wait.

    `nova` returns a Nova; `blind` is the wait without the API in seconds.
    """
    began, since = clock(), time.time()
    os.kill(pid, signal.SIGTERM)
    api, quiet, heard, known, before = None, 0, False, [], []
    last_answer = began  # when the API last answered
    while alive(pid):
        pause(PAUSE)
        try:
            heard = heard or answered(since)
            # Calls that are unanswered by then may wait for a controller that is down.
            if heard or clock() - began > blind:
                api = api or nova()
                known, last_answer = api.busy(), clock()
            busy = known if heard else ["calls that it is answering"]
        except Exception as error:
            if not known and clock() - last_answer > blind:
                yield f"nova's API does not answer ({error}): stopping without it"
                end(pid)
            continue
        if busy and busy != before:
            yield f"waiting for {', '.join(busy[:5])}"
        before = busy
        quiet = 0 if busy else quiet + 1
        if quiet >= QUIET:
            yield "no work on this host: stopping"
            end(pid)


def main(arguments):
    """Drain the main process of the unit."""
    conf, blind = arguments
    pid = os.environ.get("MAINPID")
    for line in finish(int(pid), lambda: Nova(conf), float(blind)) if pid else ():
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
