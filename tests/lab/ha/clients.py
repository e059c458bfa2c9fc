"""Clients of the cloud, run inside the lab's network: clients.py VERB CLOUDS_YAML FILE [SECONDS].

`ask` has one client for each API ask again and again, and counts what failed, until FILE exists or
SECONDS have passed; nothing is tried twice. `start` boots an instance with a floating IP and
records it in FILE; `ping` waits until it answers, SECONDS at most; `stop` removes it. Each prints
JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from keystoneauth1 import exceptions
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from cairn.verify import run as verify_run
from tests.lab.disaster import guest

PAUSE = 0.5  # seconds between a client's requests
PATIENCE = 95  # seconds for an answer: the load balancer gives up before


@dataclass
class Client:
    """The results of one client's requests."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    pause: float = 0.0  # the longest time without an answer
    answers: list[float] = field(default_factory=list)

    def ask(self, request: Callable[[], None]) -> None:
        """Make one request."""
        began = time.time()
        try:
            request()
        except (exceptions.ClientException, OSError) as error:
            clock = time.strftime("%H:%M:%S", time.gmtime(began))
            self.failed.append(f"{clock} after {time.time() - began:.1f} s: {error}"[:400])
            return
        ended = time.time()
        self.answered += 1
        self.slowest = max(self.slowest, ended - began)
        self.answers.append(ended)

    def report(self, began: float, ended: float) -> dict[str, Any]:
        """The figures, without the list of all answers."""
        moments = [began, *self.answers, ended]
        self.pause = max(b - a for a, b in pairwise(moments))
        found = asdict(self)
        del found["answers"]
        return {name: round(v, 1) if isinstance(v, float) else v for name, v in found.items()}


def requests(auth: Password, session: Session, name: str) -> dict[str, Callable[[], None]]:
    """One request for each API, by what it is called here."""

    def get(service: str, path: str, **how: Any) -> Callable[[], None]:
        where = {"service_type": service, "interface": "public"}
        return lambda: (session.get(path, endpoint_filter=where, **how), None)[1]

    def network() -> None:
        where = {"service_type": "network", "interface": "public"}
        made = session.post(
            "/v2.0/networks", json={"network": {"name": name}}, endpoint_filter=where
        )
        session.delete(f"/v2.0/networks/{made.json()['network']['id']}", endpoint_filter=where)

    return {
        "a token": lambda: (auth.get_access(session), None)[1],
        "list of servers": get("compute", "/servers"),
        "list of images": get("image", "/v2/images"),
        "list of providers": get("placement", "/resource_providers"),
        "a network made and deleted": network,
    }


def administrator(clouds: Path) -> tuple[Password, Session]:
    """The administrator's connection, whose session retries nothing."""
    cloud = yaml.safe_load(clouds.read_text())["clouds"]["cairn"]
    auth = Password(**cloud["auth"])
    return auth, Session(auth=auth, verify=cloud["cacert"], timeout=PATIENCE)


def ask(clouds: Path, stop: Path, seconds: float) -> dict[str, Any]:
    """Ask until stopped; return the results by client."""
    began = time.time()
    found: dict[str, Client] = {}

    def work(what: str, request: Callable[[], None], client: Client) -> None:
        while not stop.exists() and time.time() < began + seconds:
            client.ask(request)
            time.sleep(PAUSE)

    threads = []
    for what, request in requests(*administrator(clouds), "cairn-ha-client").items():
        found[what] = Client()
        threads.append(threading.Thread(target=work, args=(what, request, found[what])))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return {what: client.report(began, time.time()) for what, client in found.items()}


def start(admin: Any, kept: Path, seconds: float) -> dict[str, Any]:
    """An instance that answers at its floating IP; where it is and through what it is reached."""
    verify_run.sweep(admin)
    run = verify_run.new_run()
    verify_run.prepare(admin, run, guest.image(), guest.external())
    verify_run.boot(admin, run, seconds)
    kept.write_text(json.dumps(run.as_dict()))
    return ping(kept, seconds)


def ping(kept: Path, seconds: float) -> dict[str, Any]:
    """How long it takes until the instance answers."""
    run = verify_run.Run(**json.loads(kept.read_text()))
    began = time.monotonic()
    verify_run.wait("the instance", seconds, lambda: answers(run.floating_ip))
    return {"seconds": round(time.monotonic() - began, 1)}


def answers(address: str) -> bool:
    """Whether an address answers one ping."""
    command = ["ping", "-c", "1", "-W", "1", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Run the command."""
    verb, clouds, file, *seconds = sys.argv[1:]
    limit = float(seconds[0]) if seconds else 900.0
    if verb == "ask":
        result = ask(Path(clouds), Path(file), limit)
    elif verb == "ping":
        result = ping(Path(file), limit)
    else:
        admin = verify_run.admin_cloud(Path(clouds), "cairn")
        result = (
            start(admin, Path(file), limit)
            if verb == "start"
            else {"removed": verify_run.sweep(admin)}
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
