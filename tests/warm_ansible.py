"""Runs of ansible-playbook without its start: a server loads Ansible, each run is a fork of it.

Loading Ansible takes most of the time of a short run. A server stands for one set of settings, for
Ansible reads these when it is loaded; it is a process of its own, which no test has changed. The
first runs with any settings are of ansible-playbook itself: a server costs as much as two of them.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 1 << 18  # bytes of a request
FIRST = 2  # runs before a server is started
Ran = subprocess.CompletedProcess[str]


class Servers:
    """Servers by their settings, started when they are first asked for."""

    def __init__(self) -> None:
        """Start none."""
        self.asked: Counter[tuple[tuple[str, str], ...]] = Counter()
        self.running: dict[tuple[tuple[str, str], ...], tuple[Any, socket.socket]] = {}

    def play(
        self, *words: str | Path, cwd: Path = ROOT, environ: Mapping[str, str] | None = None
    ) -> Ran:
        """Run ansible-playbook with the project's settings and those in `environ`.

        A vault password is given among the words.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "CAIRN_"))}
        given = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            **(environ or {}),
        }
        environ = {**kept, **given}
        settings = {k: v for k, v in given.items() if k.startswith("ANSIBLE_")}
        key = tuple(sorted(settings.items()))
        self.asked[key] += 1
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            if self.asked[key] <= FIRST:
                command = [Path(sys.executable).with_name("ansible-playbook"), *words]
                status = subprocess.run(
                    command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                    check=False,
                ).returncode  # fmt: skip
            else:
                if key not in self.running:
                    self.running[key] = self.start({**kept, **settings})
                request = {"words": [*map(str, words)], "cwd": str(cwd), "environ": environ}
                server = self.running[key][1]
                with Path(os.devnull).open() as nothing:
                    files = [nothing.fileno(), out.fileno(), err.fileno()]
                    socket.send_fds(server, [json.dumps(request).encode()], files)
                status = int(server.recv(LARGEST))
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, status, out.read(), err.read())

    def start(self, environ: Mapping[str, str]) -> tuple[Any, socket.socket]:
        """Start a server with these settings; the process and the connection to it."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-P", __file__, str(number)]
            process = subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=[number])
        return process, mine

    def stop(self) -> None:
        """End all of them."""
        for process, connection in self.running.values():
            connection.close()
            process.wait(timeout=30)
        self.running.clear()


def load() -> None:
    """Load what every run of ansible-playbook does."""
    import ansible.cli.playbook
    import ansible.executor.playbook_executor
    import ansible.executor.task_executor
    import ansible.executor.task_queue_manager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins import loader
    from ansible.template import Templar, trust_as_template

    from cairn.actions import base

    del ansible
    loader.init_plugin_loader()
    # Each run does so as well.
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    # Not those of variables: their loader keeps objects, which are each run's own.
    kinds = ("inventory", "callback", "connection", "shell", "strategy", "cache", "become")
    for kind in kinds:
        list(getattr(loader, f"{kind}_loader").all(class_only=True))
    for name in ("assert", "debug", "set_fact", "add_host", "group_by", "include_role", "command"):
        loader.action_loader.get(name, class_only=True)
        loader.module_loader.find_plugin(name)
    template = trust_as_template("{{ [1] | default([]) | length > 0 and x is defined }}")
    Templar(loader=DataLoader(), variables={"x": 1}).template(template)
    if "ANSIBLE_ACTION_PLUGINS" in os.environ:
        # Hosts are simulated, so that runs get as far as Cairn's own actions.
        base.preload()


def run(words: Sequence[str]) -> int:
    """Run ansible-playbook in this process, as its own script does; its exit status."""
    from ansible import constants as C  # noqa: N812
    from ansible.cli.playbook import PlaybookCLI

    # What a process makes when it loads Ansible, and removes in the end.
    C.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix="ansible-local-")
    # tools/vault-password looks at the command line of its caller, which is the server's.
    C.DEFAULT_VAULT_PASSWORD_FILE = None
    sys.argv = ["ansible-playbook", *words]
    try:
        PlaybookCLI.cli_executor(sys.argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        shutil.rmtree(C.DEFAULT_LOCAL_TMP, ignore_errors=True)
    return 0


def fork(request: Mapping[str, Any], files: Sequence[int], server: socket.socket) -> int:
    """Run what is asked for in a child; its exit status."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        server.close()
        atexit._clear()
        os.environ.clear()
        os.environ.update(request["environ"])
        os.chdir(request["cwd"])
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        status = run(request["words"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()
        os._exit(status)


def serve(server: socket.socket) -> None:
    """Answer requests until the other side is gone."""
    load()
    while True:
        message, files, _, _ = socket.recv_fds(server, LARGEST, 3)
        if not message:
            return
        status = fork(json.loads(message), files, server)
        for file in files:
            os.close(file)
        server.send(str(status).encode())


def main() -> NoReturn:
    """Serve on the connection whose number is given."""
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit()


if __name__ == "__main__":
    main()
