"""A cloud in a lab, used as an operator uses it; for tests that are marked `lab`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cairn.report import ACTIONS
from cairn.verify.run import ProofError, wait
from lab.state import State

ROOT = Path(__file__).resolve().parents[2]


class Cloud:
    """The lab with a cloud on it, used as an operator uses it: by commands."""

    def __init__(self, scratch: Path, inventory: str = "lab", lab: str | None = None) -> None:
        """A cloud of an inventory, in a lab of that name by default; `scratch` is for logs."""
        self.scratch = scratch
        self.inventory = Path("inventories") / inventory
        self.name = lab or inventory

    @property
    def python(self) -> Path:
        """The lab's own Python, which runs inside its network."""
        return ROOT / ".lab" / self.name / "python"

    def lab(self, *words: str, timeout: float = 600) -> str:
        """Run a command of the lab that has to succeed; return its output."""
        command = [sys.executable, "-m", "lab", "--name", self.name, *words]
        try:
            return subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=timeout
            ).stdout
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr[-3000:])
            raise

    def on(self, host: str, command: str, timeout: float = 120) -> str:
        """Run a shell command on a host; its output, stripped."""
        return self.lab("ssh", host, command, timeout=timeout).strip()

    def start(
        self, *words: str, tree: Path = ROOT, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start ansible-playbook on the lab's inventory; what it prints goes to a file."""
        with self.output.open("w") as output:
            return subprocess.Popen(
                [
                    str(ROOT / ".venv/bin/ansible-playbook"),
                    "-i",
                    str(tree / self.inventory),
                    *words,
                ],
                cwd=tree,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env={
                    **os.environ,
                    "ANSIBLE_FORCE_COLOR": "0",
                    "CAIRN_LAB": self.name,
                    # A copy of the project runs its own code, not that of the checkout.
                    "PYTHONPATH": f"{tree}:{tree / 'plugins' / 'module_utils'}",
                    **(environment or {}),
                },
            )

    @property
    def output(self) -> Path:
        """What the last playbook printed."""
        return self.scratch / "playbook.log"

    def run(self, *words: str, tree: Path = ROOT, **how: Any) -> tuple[int, str]:
        """Run a playbook to its end; its exit code and what it printed."""
        code = self.start(*words, tree=tree, **how).wait(timeout=1800)
        return code, self.output.read_text()

    def site(self, *words: str, **how: Any) -> tuple[int, str]:
        """Run site.yml to its end."""
        return self.run("playbooks/site.yml", *words, **how)

    def figures(self) -> dict[str, Any]:
        """The figures of the last run, as the summary wrote them."""
        found: dict[str, Any] = json.loads((ROOT / ".cache" / "last-run.json").read_text())
        return found

    def until(self, text: str, process: subprocess.Popen[str], timeout: float = 900) -> None:
        """Wait until the running playbook has printed `text`."""
        deadline = time.monotonic() + timeout
        while text not in self.output.read_text():
            assert process.poll() is None, f"ended before {text!r}:\n{self.output.read_text()}"
            assert time.monotonic() < deadline, f"never printed {text!r}"
            time.sleep(0.2)

    def generations(self, host: str) -> str:
        """Which generation of each service is in force on a host."""
        return self.on(host, "cd /var/lib/cairn/services && readlink */current")

    def cut_power(
        self, host: str, look: str, seen: str, process: subprocess.Popen[str], timeout: float = 900
    ) -> None:
        """Cut a host's power as soon as a command there prints something else than `seen`.

        The playbook that causes this must be running until then.
        """
        victim = State(self.name).running()[host]
        # The command there outlives its connection, but not for ever.
        came = f'[ "$({look})" != {shlex.quote(seen)} ] || [ $SECONDS -gt {timeout + 60:.0f} ]'
        until = f"until {came}; do sleep 0.05; done"
        ssh = ["ssh", "-F", str(ROOT / ".lab" / self.name / "ssh_config"), host, until]
        deadline = time.monotonic() + timeout
        with subprocess.Popen(ssh, stdin=subprocess.DEVNULL) as watch:
            try:
                while watch.poll() is None:
                    assert process.poll() is None, f"ended before:\n{self.output.read_text()}"
                    assert time.monotonic() < deadline, (
                        f"{host}: {look}: nothing else in {timeout} s"
                    )
                    time.sleep(0.05)
                assert not watch.returncode, f"{host}: {look}: exit {watch.returncode}"
                victim.kill()
            finally:
                watch.kill()
        # Connections to the dead machine have to be closed, too.
        self.lab("kill", host)

    def processes(self, host: str, *units: str) -> str:
        """The main process of each unit; a new number means that the unit was restarted."""
        return self.on(host, f"systemctl show --property=MainPID --value {' '.join(units)}")

    @property
    def operator(self) -> Path:
        """What an operator needs to use the cloud."""
        return ROOT / self.inventory / ".operator"

    def openstack(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the operator's openstack command to its end."""
        return subprocess.run(
            [str(self.operator / "openstack"), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def problems(self, *without: str) -> list[str]:
        """What does not serve: every API is asked once, except those of types `without`."""
        done = subprocess.run(
            [
                *(str(ROOT / ".lab" / self.name / "python"), "-m", "tests.lab.apis"),
                *(str(self.operator / "clouds.yaml"), *without),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if done.returncode:
            return [done.stderr.strip()[-500:] or "nobody could be asked"]
        found: list[str] = json.loads(done.stdout.splitlines()[-1])
        return found

    def answers(self, *without: str) -> bool:
        """Whether the cloud serves: a token, every API behind the load balancer, every agent."""
        return not self.problems(*without)

    def must_exist(self) -> None:
        """Fail where there is no cloud yet."""
        if not self.operator.joinpath("openstack").exists():
            pytest.fail(f"there is no cloud in the lab: make lab INVENTORY={self.inventory}")

    def wait_answers(self, timeout: float = 600, without: Sequence[str] = ()) -> None:
        """Wait until the cloud serves with every compute service and network agent up.

        APIs of types `without` are not asked.
        """
        wait_until_none("problems of the cloud", timeout, lambda: self.problems(*without))


def work(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a run did, by kind (`changed`, `restarted`, …) and host; empty if there was nothing."""
    found: dict[str, dict[str, Any]] = {}
    for kind in ("changed", *ACTIONS):
        for name, host in report["hosts"].items():
            if host[kind]:
                found.setdefault(kind, {})[name] = host[kind]
    return found


def wait_until_none(what: str, seconds: float, find: Callable[[], Any], pause: float = 5) -> None:
    """Wait until nothing is found any more; the failure shows what is still found."""
    found: Any = None

    def none() -> bool:
        nonlocal found
        found = find()
        return not found

    try:
        wait(f"no more {what}", seconds, none, interval=pause)
    except ProofError as error:
        pytest.fail(f"{error}, but {found}")


def option(value: str) -> list[str]:
    """Arguments that change one harmless option of keystone: a new generation, one restart."""
    changed = {"keystone_config": {"keystone.conf": {"DEFAULT": {"max_param_size": value}}}}
    return ["-e", json.dumps(changed)]
