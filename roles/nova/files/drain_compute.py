"""End nova-compute as soon as it has finished what it is at. Runs as root, by the unit's ExecStop.

Usage: MAINPID=… drain_compute.py NOVA_CONF SECONDS

nova-compute that is told to end takes no new work, waits for the calls that it is answering, and
then sleeps for manager_shutdown_timeout: it cannot tell whether an instance is being built or moved
beside them. Nova's API can. When it has said twice that nothing is going on here, there is nothing
left to sleep for. Whoever cannot ask it waits for SECONDS; nova itself ends a wait that lasts too
long.
"""

import contextlib
import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# What nova.service says, at level DEBUG, when the last call has been answered.
ANSWERED = "nova-compute manager graceful shutdown started"
PAUSE = 1.0  # seconds between looks
TIMEOUT = 10.0  # seconds that a request may take
QUIET = 2  # answers in a row: work that is handed on inside nova-compute may show up a moment later
LATELY = datetime.timedelta(minutes=10)
DONE = {"completed", "done", "finished", "confirmed", "reverted", "error", "failed", "cancelled"}


class Nova:
    """Nova's API, as nova's own account sees it."""

    def __init__(self, conf):
        """Read who that is and where, from nova.conf."""
        # These take seconds to import, and nova-compute has been told to end by now.
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
        """A list of the API's."""
        words = "&".join(f"{key}={value}" for key, value in query.items())
        answer = self.api.get(f"/{what}?{words}")
        return answer.json()[what.partition("/")[0].removeprefix("os-")]

    def busy(self):
        """What goes on at this host, or may be about to; empty when nothing does."""
        here = self.get("servers/detail", all_tenants=1, host=self.host)
        found = [one["id"] for one in here if one["OS-EXT-STS:task_state"]]
        moved = self.get("os-migrations", host=self.host)
        found += [one["instance_uuid"] for one in moved if one["status"] not in DONE]
        # An instance has no host yet when nova-compute takes it on.
        since = (datetime.datetime.now(datetime.UTC) - LATELY).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"all_tenants": 1, "status": "BUILD", "changes-since": since}
        built = self.get("servers/detail", **query)
        return found + [one["id"] for one in built if not one["OS-EXT-SRV-ATTR:host"]]


def alive(pid):
    """Whether the process is still there."""
    return Path(f"/proc/{pid}").exists()


def answered(since):
    """Whether nova-compute has answered the calls that it had when it was told to end."""
    command = ["journalctl", "--unit=nova-compute", f"--since=@{int(since)}", "--output=cat"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ANSWERED in done.stdout


def processes(pid):
    """The processes of the unit but for this one."""
    path = Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition(":")[2]
    members = Path(f"/sys/fs/cgroup{path}/cgroup.procs").read_text().split()
    return [int(member) for member in members if int(member) != os.getpid()]


def end(pid):
    """End what is left of the unit now."""
    with contextlib.suppress(OSError):
        for member in processes(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)


def finish(pid, nova, blind, clock=time.monotonic, pause=time.sleep):
    """Tell the process to end and wait until it has; sentences about what was waited for.

    `nova` makes a Nova; `blind` is in seconds.
    """
    began, since = clock(), time.time()
    os.kill(pid, signal.SIGTERM)
    api, quiet, heard, known, before = None, 0, False, [], []
    told = began  # when nova last told what goes on here
    while alive(pid):
        pause(PAUSE)
        try:
            heard = heard or answered(since)
            # Calls that are not answered by then may be waiting for a controller that is gone.
            if heard or clock() - began > blind:
                api = api or nova()
                known, told = api.busy(), clock()
            busy = known if heard else ["calls that it is answering"]
        except Exception as error:
            if not known and clock() - told > blind:
                yield f"cannot ask nova what goes on here ({error}): not waiting any longer"
                end(pid)
            continue
        if busy and busy != before:
            yield f"waiting for {', '.join(busy[:5])}"
        before = busy
        quiet = 0 if busy else quiet + 1
        if quiet >= QUIET:
            yield "nothing goes on here"
            end(pid)


def main(arguments):
    """Finish the main process of the unit."""
    conf, blind = arguments
    pid = os.environ.get("MAINPID")
    for line in finish(int(pid), lambda: Nova(conf), float(blind)) if pid else ():
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
