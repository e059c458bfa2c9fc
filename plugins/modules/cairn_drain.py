#!/usr/bin/python
"""Module: have this host's HAProxy send no new requests to servers that are about to restart."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cairn_host.errors import HostError
from ansible.module_utils.cairn_host.files import write_atomic

DOCUMENTATION = r"""
module: cairn_drain
short_description: Drains servers of HAProxy, and restores them
description:
  - With O(state=drain), new requests go to the other servers of a backend, and the module waits for
    requests in progress. It drains a server only if another one is up, and for at most O(minutes),
    after which a timer on the host restores it even if the run was interrupted.
  - A server that an operator has drained or put into maintenance stays so. O(state=ready) restores
    only servers that this module drained.
  - Does nothing on a host without a running HAProxy.
  - As an action it takes C(service), whose servers it finds, O(state), and C(generation), the
    target of the switch; it calls the load balancer only if something restarts.
options:
  servers:
    description: Servers to drain or restore, each as C(backend/server).
    type: list
    elements: str
    required: true
  state:
    description: Drain the servers, or restore them.
    type: str
    choices: [drain, ready]
    required: true
  patience:
    description: Maximum seconds to wait for another server, and for requests in progress.
    type: float
    default: 60
  minutes:
    description: Minutes after which the servers are restored in any case.
    type: int
    default: 20
author: Cairn
"""

EXAMPLES = r"""
- name: Send new requests to the other controllers
  cairn_drain:
    service: keystone
    state: drain
"""

RETURN = r"""
drained:
  description: The servers that get no new requests now.
  returned: success
  type: list
left:
  description: Requests still in progress after O(patience).
  returned: success
  type: int
"""

SOCKET = "/run/haproxy/admin.sock"
# Lost at a reboot, as HAProxy's own state is.
DRAINED = Path("/run/cairn/drained")
MAINTENANCE = "MAINT"
PAUSE = 0.5
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
    """HAProxy's statistics of each server, by `backend/server`."""
    text = asked("show stat -1 4 -1").lstrip("# ")
    return {f"{row['pxname']}/{row['svname']}": row for row in csv.DictReader(io.StringIO(text))}


def serves(row: dict[str, str]) -> bool:
    """Whether a server gets new requests."""
    return row["status"].startswith(("UP", "no check"))


def another(name: str, rows: dict[str, dict[str, str]]) -> bool:
    """Whether another server of the same backend is up."""
    backend = name.partition("/")[0]
    return any(
        serves(row) for other, row in rows.items() if row["pxname"] == backend and other != name
    )


def under_way(names: list[str], rows: dict[str, dict[str, str]]) -> int:
    """The number of requests in progress on these servers."""
    return sum(int(rows[name]["scur"]) for name in names if name in rows)


def until(patience: float, condition: Callable[[], bool]) -> bool:
    """Wait for a condition; returns whether it was met in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def drain(
    names: list[str], patience: float, before: Callable[[list[str]], None], asked: Ask = ask
) -> tuple[list[str], int]:
    """Drain servers if another is up; returns them and the number of requests in progress.

    `before` is called with the servers about to be drained. Servers that already get no requests,
    as an operator may have decided, are left alone.
    """
    rows = servers(asked)
    existing = [name for name in names if name in rows]

    def relieved() -> bool:
        rows = servers(asked)
        return all(another(name, rows) for name in existing)

    until(patience, relieved)
    rows = servers(asked)
    out = [name for name in existing if serves(rows[name]) and another(name, rows)]
    if out:
        before(out)
    for name in out:
        asked(f"set server {name} state drain")
    until(patience, lambda: under_way(out, servers(asked)) == 0)
    return out, under_way(out, servers(asked))


def ready(names: list[str], asked: Ask = ask) -> list[str]:
    """Restore servers that `drain` drained, except those in maintenance; returns them."""
    rows = servers(asked)
    back = [n for n in names if n in rows and not rows[n]["status"].startswith(MAINTENANCE)]
    for name in back:
        asked(f"set server {name} state ready")
    return back


def key(names: list[str]) -> str:
    """A short name for a set of servers."""
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


def timer(names: list[str]) -> str:
    """The name of the timer that restores these servers."""
    return f"cairn-undrain-{key(names)}"


def remember(names: list[str], out: list[str]) -> None:
    """Save which of the servers `names` were drained."""
    text = json.dumps(out).encode()
    write_atomic(DRAINED / f"{key(names)}.json", text, 0o644, "root", "root")


def remembered(names: list[str]) -> list[str]:
    """The servers of `names` that were drained; none if nothing was saved."""
    try:
        drained: list[str] = json.loads((DRAINED / f"{key(names)}.json").read_text())
    except (OSError, ValueError):
        return []
    return drained


def forget(names: list[str]) -> None:
    """Remove the saved list."""
    (DRAINED / f"{key(names)}.json").unlink(missing_ok=True)


PUT_BACK = """
import csv, pathlib, socket
def ask(command):
    admin = socket.socket(socket.AF_UNIX)
    admin.connect({socket!r})
    admin.sendall((command + "\\n").encode())
    answer = b""
    while part := admin.recv(65536):
        answer += part
    return answer.decode()
for row in csv.DictReader(ask("show stat -1 4 -1").lstrip("# ").splitlines()):
    name = row["pxname"] + "/" + row["svname"]
    if name in {names!r} and not row["status"].startswith({maintenance!r}):
        ask("set server " + name + " state ready")
pathlib.Path({note!r}).unlink(missing_ok=True)
"""


def arm(names: list[str], out: list[str], minutes: int) -> None:
    """Start the timer that restores the servers `out`, even if the run is interrupted."""
    disarm(names)
    program = PUT_BACK.format(
        socket=SOCKET,
        names=out,
        maintenance=MAINTENANCE,
        note=str(DRAINED / f"{key(names)}.json"),
    )
    subprocess.run(
        [
            *("systemd-run", "--quiet", f"--unit={timer(names)}", f"--on-active={minutes}min"),
            *("/usr/bin/python3", "-c", program),
        ],
        check=True,
    )
    remember(names, out)


def disarm(names: list[str]) -> None:
    """Stop the timer."""
    for kind in ("timer", "service"):
        unit = f"{timer(names)}.{kind}"
        subprocess.run(["systemctl", "stop", "--quiet", unit], stderr=subprocess.DEVNULL)


def main() -> None:
    """Drain or restore."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["drain", "ready"], "required": True},
            "patience": {"type": "float", "default": 60},
            "minutes": {"type": "int", "default": 20},
        },
        supports_check_mode=False,
    )
    names = module.params["servers"]
    result: dict[str, Any] = {"changed": False, "drained": [], "left": 0}
    try:
        servers()
    except OSError:
        module.exit_json(**result)
    try:
        if module.params["state"] == "drain":
            result["drained"], result["left"] = drain(
                names,
                module.params["patience"],
                lambda out: arm(names, out, module.params["minutes"]),
            )
        else:
            ready(remembered(names))
            disarm(names)
            forget(names)
    except (OSError, HostError, subprocess.CalledProcessError) as error:
        module.fail_json(msg=f"HAProxy here: {error}", **result)
    # A temporary state is no change of the host.
    module.exit_json(**result)


if __name__ == "__main__":
    main()
