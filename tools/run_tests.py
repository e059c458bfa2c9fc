"""Run the project's tests: `run_tests.py [lint | unit | lab | molecule [ROLE…]]`, all by default.

Every step runs even when one before it failed, except that without a lab nothing is tried in it.
Output goes to the terminal and to `.cache/tests/<step>.log`; the last line counts.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
LOGS = ROOT / ".cache/tests"
# The order in which the roles build the cloud on one another.
ROLES = (
    *("base", "trust", "chrony", "network"),
    *("mysql", "rabbitmq", "memcached", "loadbalancer"),
    *("keystone", "placement", "glance", "ovn", "neutron", "nova"),
    *("cinder", "swift", "heat", "gnocchi", "ceilometer", "horizon"),
)
RELEASE = "2026.1"
LAB = "inventories/lab"
PLAYBOOK = f"ansible-playbook -i {LAB}"


@dataclass(frozen=True)
class Step:
    """One command that passes or fails; `junit` names the file in which pytest counts its tests."""

    name: str
    command: str
    junit: bool = False
    needed: bool = False  # without it the rest of its group makes no sense


@dataclass
class Count:
    """How many tests passed and failed."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: Count) -> Count:
        """Return both together."""
        return Count(self.passed + other.passed, self.failed + other.failed)


def python_paths(root: Path) -> list[str]:
    """Return the folders and scripts of Python that mypy checks, as far as they exist."""
    folders = ("bench", "filter_plugins", "guest", "lab", "plugins", "tools")
    found = [name for name in folders if any((root / name).rglob("*.py"))]
    return [*found, "tools/vault-password"]


def lint(root: Path) -> list[Step]:
    """Return the steps that read the source only."""
    return [
        Step("ruff", "ruff check ."),
        Step("ruff-format", "ruff format --check ."),
        Step("mypy", f"mypy {' '.join(python_paths(root))}"),
        Step("yamllint", "yamllint --strict ."),
        Step("ansible-lint", "ansible-lint --strict"),
    ]


def unit(root: Path) -> list[Step]:
    """Return the tests that need no lab; with the release's code at hand its validator judges."""
    return [
        Step("venvs", f"python tools/venvs.py --release {RELEASE} --if-possible"),
        Step("unit", "pytest -q -m 'not lab'", junit=True),
    ]


def machines(root: Path) -> list[Step]:
    """Return what everything in the lab begins with."""
    return [
        Step("lab-up", "python -m lab up", needed=True),
        Step("secrets", f"python tools/site_secrets.py {LAB}", needed=True),
    ]


def molecule(root: Path, roles: Sequence[str] = ()) -> list[Step]:
    """Return the scenarios of the roles, all by default, in the order in which they build.

    What a named role stands on is converged first, so that one scenario runs alone on a bare lab.
    """
    there = [role for role in ROLES if (root / "molecule" / role / "molecule.yml").exists()]
    unknown = sorted(set(roles) - set(there))
    if unknown:
        sys.exit(f"error: no scenario for {', '.join(unknown)}; there are {', '.join(there)}")
    tested = [role for role in there if not roles or role in roles]
    steps = []
    for role in there[: there.index(tested[-1]) + 1] if tested else []:
        if role in tested:
            # Never: when one fails, the lab stays for a look at it and for the others.
            command = f"molecule test --destroy never --scenario-name {role}"
            steps.append(Step(f"molecule-{role}", command))
        else:
            command = f"molecule converge --scenario-name {role}"
            steps.append(Step(f"converge-{role}", command, needed=True))
    return steps


def lab(root: Path) -> list[Step]:
    """Return the tests of the whole cloud."""
    return [
        Step("site", f"{PLAYBOOK} playbooks/site.yml", needed=True),
        Step("verify", f"{PLAYBOOK} playbooks/verify.yml"),
        Step("bad-days", "pytest -q -m lab", junit=True),
    ]


def junit_count(path: Path) -> Count:
    """Return what pytest counted in its JUnit file."""
    counts = Count()
    for suite in ElementTree.parse(path).iter("testsuite"):  # noqa: S314 - pytest wrote it just now
        numbers = {
            key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")
        }
        failed = numbers["failures"] + numbers["errors"]
        counts += Count(numbers["tests"] - failed - numbers["skipped"], failed)
    return counts


def run(step: Step, logs: Path) -> Count:
    """Run one step, showing and keeping its output."""
    print(f"== {step.name}: {step.command}", flush=True)
    junit = logs / f"{step.name}.xml"
    junit.unlink(missing_ok=True)
    command = shlex.split(step.command) + ([f"--junitxml={junit}"] if step.junit else [])
    begin = time.monotonic()
    with (logs / f"{step.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", "PATH": f"{TOOLS}:{os.environ['PATH']}"},
        )
        assert process.stdout is not None  # noqa: S101 - for mypy
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            log.write(line)
        status = process.wait()
    count = Count(passed=int(status == 0), failed=int(status != 0))
    if step.junit and junit.exists():
        counted = junit_count(junit)
        # A runner that dies after its tests has failed, whatever they said.
        count = counted if counted.failed or not status else Count(counted.passed, 1)
    told = "ok" if not count.failed else f"FAILED (exit {status})"
    print(f"== {step.name}: {told}, {time.monotonic() - begin:.0f} s\n", flush=True)
    return count


def run_all(steps: Sequence[Step], logs: Path) -> Count:
    """Run the steps; after a needed one that failed, the rest are named and left out."""
    logs.mkdir(parents=True, exist_ok=True)
    total, failed, broken = Count(), [], ""
    for step in steps:
        if broken:
            print(f"== {step.name}: not run, since {broken} failed", flush=True)
            continue
        count = run(step, logs)
        total += count
        if count.failed:
            failed.append(step.name)
            broken = step.name if step.needed else ""
    if failed:
        print(f"failed: {', '.join(failed)}; their output is in {logs}")
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    return total


def plan(words: Sequence[str], root: Path) -> list[Step]:
    """Return the steps that the command line asks for; everything when it is empty."""
    if not words:
        return [*lint(root), *unit(root), *machines(root), *molecule(root), *lab(root)]
    group, *roles = words
    if group == "molecule":
        return [*machines(root), *molecule(root, roles)]
    groups = {"lint": lint(root), "unit": unit(root), "lab": [*machines(root), *lab(root)]}
    if group not in groups or roles:
        sys.exit(f"error: {' '.join(words)!r}: use lint, unit, lab, molecule or molecule ROLE…")
    return groups[group]


def main() -> int:
    """Run the command; return its exit code."""
    total = run_all(plan(sys.argv[1:], ROOT), LOGS)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main())
