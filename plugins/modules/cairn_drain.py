#!/usr/bin/python
"""Module: have this host's HAProxy send nothing new to servers that are about to restart."""

from __future__ import annotations

import csv
import hashlib
import io
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: cairn_drain
short_description: Takes servers out of HAProxy's rotation, or back into it
description:
  - With O(state=drain), new requests go to the other servers of a backend, and the requests that a
    server has already are waited for. A server is only taken out where another one serves, and for
    at most O(minutes), after which a timer of the host puts it back, whatever became of the run.
  - A host without a running HAProxy has nothing to do.
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
    servers: [keystone-api/controller1]
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


def drain(names: list[str], patience: float, asked: Ask = ask) -> tuple[list[str], int]:
    """Take servers out where another serves; which, and how many requests are still under way."""
    found = servers(asked)
    known = [name for name in names if name in found]

    def relieved() -> bool:
        found = servers(asked)
        return all(another(name, found) for name in known)

    until(patience, relieved)
    found = servers(asked)
    out = [name for name in known if another(name, found)]
    for name in out:
        asked(f"set server {name} state drain")
    until(patience, lambda: under_way(out, servers(asked)) == 0)
    return out, under_way(out, servers(asked))


def ready(names: list[str], asked: Ask = ask) -> list[str]:
    """Put servers back; which were out."""
    found = servers(asked)
    back = [n for n in names if n in found and found[n]["status"].startswith(("DRAIN", "MAINT"))]
    for name in names:
        if name in found:
            asked(f"set server {name} state ready")
    return back


def timer(names: list[str]) -> str:
    """The name of the timer that puts these servers back."""
    return f"cairn-undrain-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:12]}"


def arm(names: list[str], minutes: int) -> None:
    """Have the servers put back after a while, even if nobody comes back to do so."""
    disarm(names)
    commands = [f"set server {name} state ready\n" for name in names]
    program = (
        "import socket\n"
        f"for command in {commands!r}:\n"
        "    admin = socket.socket(socket.AF_UNIX)\n"
        f"    admin.connect({SOCKET!r})\n"
        "    admin.sendall(command.encode())\n"
        "    admin.recv(100)\n"
    )
    subprocess.run(
        [
            *("systemd-run", "--quiet", f"--unit={timer(names)}", f"--on-active={minutes}min"),
            *("/usr/bin/python3", "-c", program),
        ],
        check=True,
    )


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
            arm(names, module.params["minutes"])
            result["drained"], result["left"] = drain(names, module.params["patience"])
        else:
            ready(names)
        if not result["drained"]:
            disarm(names)
    except (OSError, subprocess.CalledProcessError) as error:
        module.fail_json(msg=f"HAProxy here: {error}", **result)
    # What a run changes only for a while is no change of the host.
    module.exit_json(**result)


if __name__ == "__main__":
    main()
