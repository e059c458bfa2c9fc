"""Machines of a lab that tests of the network have to themselves, and the role run on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Machines:
    """A lab by its name and inventory."""

    root: Path
    name: str
    inventory: str

    def lab(self, *words: str) -> Done:
        """Run `python -m lab` with these words."""
        return self.run(self.lab_command(*words))

    def lab_command(self, *words: str) -> list[str]:
        given = ["--name", self.name, "--inventory", self.inventory]
        return [sys.executable, "-m", "lab", *given, *words]

    def shell(self, host: str, line: str, address: str = "") -> str:
        """Run a command on a host, at its planes' or another address; returns what it printed."""
        done = self.ssh(host, line, address)
        assert done.returncode == 0, f"{host}: {line}: {done.stdout}{done.stderr}"
        return done.stdout

    def ssh(self, host: str, line: str, address: str = "") -> Done:
        config = self.root / ".lab" / self.name / "ssh_config"
        elsewhere = [f"-oHostName={address}", f"-oHostKeyAlias={host}"] if address else []
        return self.run(["ssh", "-F", str(config), "-oConnectTimeout=5", *elsewhere, host, line])

    def play(self, variables: dict[str, Any], *more: str) -> Done:
        """Run the role with variables that go before the inventory's."""
        return self.run([*self.play_command(variables), *more])

    def play_command(self, variables: dict[str, Any]) -> list[str]:
        playbook = str(Path(sys.executable).with_name("ansible-playbook"))
        given = ["-i", self.inventory, "-e", json.dumps(variables)]
        return [playbook, "tests/lab/network/network.yml", *given]

    def run(self, command: list[str]) -> Done:
        return subprocess.run(
            command,
            cwd=self.root,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command, and do not wait for its end."""
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self._environment(),
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        return os.environ | {"CAIRN_LAB": self.name}


def end(process: subprocess.Popen[bytes]) -> None:
    """End what `start` started, and what that started; machines go on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def wait(seconds: float, until: Callable[[], bool], what: str) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what}"
        time.sleep(0.5)
