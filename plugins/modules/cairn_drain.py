#!/usr/bin/python
"""Module: have this host's HAProxy send nothing new to servers that are about to restart."""

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
short_description: Takes servers out of HAProxy's rotation, or back into it
description:
  - With O(state=drain), new requests go to the other servers of a backend, and the requests that a
    server has already are waited for. A server is only taken out where another one serves, and for
    at most O(minutes), after which a timer of the host puts it back, whatever became of the run.
  - A server that an operator has drained or put into maintenance stays so. With O(state=ready) only
    those come back that this module took out.
  - A host without a running HAProxy has nothing to do.
  - As an action it takes C(service), whose servers it finds, O(state), and C(generation), the one
    that is switched to; it calls the load balancer only where something restarts.
options:
  servers:
    description: What to take out or put back, each as C(backend/server).
    type: list
    elements: str
    required: true
  state:
    description: Whether to take the servers out or to put them back.
    type: str
    choices: [drain, ready]
    required: true
  patience:
    description: Seconds to wait for another server, and for the requests under way, at most.
    type: float
    default: 60
  minutes:
    description: After how many minutes the servers are put back in any case.
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
  description: The servers that get nothing new now.
  returned: success
  type: list
left:
  description: Requests that were still under way when O(patience) had passed.
  returned: success
  type: int
"""

SOCKET = "/run/haproxy/admin.sock"
# Like HAProxy's own state, what was taken out is forgotten at a reboot.
DRAINED = Path("/run/cairn/drained")
MAINTENANCE = "MAINT"
PAUSE = 0.5
Ask = Callable[[str], str]


def ask(command: str) -> str:
    """Give HAProxy a command; its answer. OSError where none runs."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(20)
        admin.connect(SOCKET)
        admin.sendall(f"{command}\n".encode())
        answer = b""
        while part := admin.recv(65536):
            answer += part
    return answer.decode()


def servers(asked: Ask = ask) -> dict[str, dict[str, str]]:
    """What HAProxy tells of each server, by `backend/server`."""
    text = asked("show stat -1 4 -1").lstrip("# ")
    return {f"{row['pxname']}/{row['svname']}": row for row in csv.DictReader(io.StringIO(text))}


def serves(row: dict[str, str]) -> bool:
    """Whether a server gets new requests."""
    return row["status"].startswith(("UP", "no check"))


def another(name: str, found: dict[str, dict[str, str]]) -> bool:
    """Whether another server of the same backend serves."""
    backend = name.partition("/")[0]
    return any(
        serves(row) for other, row in found.items() if row["pxname"] == backend and other != name
    )


def under_way(names: list[str], found: dict[str, dict[str, str]]) -> int:
    """How many requests these servers are busy with."""
    return sum(int(found[name]["scur"]) for name in names if name in found)


def until(patience: float, wanted: Callable[[], bool]) -> bool:
    """Wait for something; whether it came."""
    deadline = time.monotonic() + patience
    while not wanted():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def drain(
    names: list[str], patience: float, before: Callable[[list[str]], None], asked: Ask = ask
) -> tuple[list[str], int]:
    """Take servers out where another serves; which, and how many requests are still under way.

    `before` is called with the servers that are about to be taken out. One that gets no requests
    already, as an operator may have decided, is none of them.
    """
    found = servers(asked)
    known = [name for name in names if name in found]

    def relieved() -> bool:
        found = servers(asked)
        return all(another(name, found) for name in known)

    until(patience, relieved)
    found = servers(asked)
    out = [name for name in known if serves(found[name]) and another(name, found)]
    if out:
        before(out)
    for name in out:
        asked(f"set server {name} state drain")
    until(patience, lambda: under_way(out, servers(asked)) == 0)
    return out, under_way(out, servers(asked))


def ready(names: list[str], asked: Ask = ask) -> list[str]:
    """Put back the servers that `drain` took out; which. Maintenance, an operator's, stays."""
    found = servers(asked)
    back = [n for n in names if n in found and not found[n]["status"].startswith(MAINTENANCE)]
    for name in back:
        asked(f"set server {name} state ready")
    return back


def key(names: list[str]) -> str:
    """A short name for a set of servers."""
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]


def timer(names: list[str]) -> str:
    """The name of the timer that puts these servers back."""
    return f"cairn-undrain-{key(names)}"


def remember(names: list[str], out: list[str]) -> None:
    """Note which of the servers `names` were taken out."""
    text = json.dumps(out).encode()
    write_atomic(DRAINED / f"{key(names)}.json", text, 0o644, "root", "root")


def remembered(names: list[str]) -> list[str]:
    """Which of the servers `names` were taken out; none where that was never noted."""
    try:
        found: list[str] = json.loads((DRAINED / f"{key(names)}.json").read_text())
    except (OSError, ValueError):
        return []
    return found


def forget(names: list[str]) -> None:
    """Take the note away."""
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
    """Have the servers `out` put back after a while, even if nobody comes back to do so."""
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
    """Forget the timer."""
    for kind in ("timer", "service"):
        unit = f"{timer(names)}.{kind}"
        subprocess.run(["systemctl", "stop", "--quiet", unit], stderr=subprocess.DEVNULL)


def main() -> None:
    """Drain or put back, and tell."""
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
    # What a run changes only for a while is no change of the host.
    module.exit_json(**result)


if __name__ == "__main__":
    main()
