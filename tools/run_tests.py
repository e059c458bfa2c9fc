"""Run the project's tests: `run_tests.py [GROUP]`.

Groups are lint, unit, labs, lab, `molecule [ROLE…]`, `bad-days [TEST…]`, `day-two [TEST…]` and `ha
[TEST…]`. Without one it runs all but the last three, each of which takes about as long as all else.

Every step runs even when one before it failed, except that without a lab nothing is tried in it.
Three lanes run at the same time: the roles are built up one after another, each is proved behind
that while the next is being built, and what does not touch the cloud runs beside both. Output goes
to the terminal, of the first lane at once, of the others when a step ends, and to
`.cache/tests/<step>.log`; the last line counts.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cairn import catalogue

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
LOGS = ROOT / ".cache/tests"
RELEASE = "2026.1"
# Folders of tests marked `lab` that start machines of their own.
OWN_LABS = ("guest", "lab", "network")
# What reads the journals: after the deployment, after verify, and last. Each search goes on where
# the one before ended, so that a complaint is shown by the step that brought it about.
JOURNALS = "journals"
SEARCH = f"python -m tests.{JOURNALS}"
# What hurts the cloud, and what is too slow for every day.
BAD_DAYS = ("baddays", "emulated")
# What operators change in a year, each change planned, carried out and taken back.
DAY_TWO = ("day2",)
LAB = "inventories/lab"
PLAYBOOK = f"ansible-playbook -i {LAB}"


@dataclass(frozen=True)
class Step:
    """One command that passes or fails; `junit` names the file in which pytest counts its tests."""

    name: str
    command: str
    junit: bool = False
    needed: bool = False  # without it the rest of its lane makes no sense
    beside: bool = False  # has nothing to do with the cloud in the lab
    after: str = ""  # the step of the cloud's lane behind which this one comes
    alone: bool = False  # waits for all that comes behind others


@dataclass
class Count:
    """How many tests passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        """Return both together."""
        return Count(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )


def python_paths(root: Path) -> list[str]:
    """Return the folders and scripts of Python that mypy checks, as far as they exist."""
    folders = (
        *("bench", "filter_plugins", "guest", "lab", "plugins", "tools"),
        # What runs only in the lab would else show its mistakes after an hour.
        *(f"tests/{name}" for name in (*BAD_DAYS, "customer", "flows", "ha", "secrets", JOURNALS)),
    )
    found = [name for name in folders if any((root / name).rglob("*.py"))]
    return [*found, "tools/vault-password"]


def lint(root: Path) -> list[Step]:
    """Return the steps that read the source only."""
    return [
        Step("ruff", "ruff check .", beside=True),
        Step("ruff-format", "ruff format --check .", beside=True),
        Step("mypy", f"mypy {' '.join(python_paths(root))}", beside=True),
        Step("yamllint", "yamllint --strict .", beside=True),
        Step("ansible-lint", "ansible-lint --strict", beside=True),
    ]


def unit(root: Path) -> list[Step]:
    """Return the tests that need no lab; with the release's code at hand its validator judges."""
    return [
        Step("venvs", f"python tools/venvs.py --release {RELEASE} --if-possible", beside=True),
        Step("unit", "pytest -q -m 'not lab'", junit=True, beside=True),
    ]


def machines(root: Path, inventory: str = LAB) -> list[Step]:
    """Return what everything in a lab begins with."""
    return [
        Step("lab-up", f"python -m lab --inventory {inventory} up", needed=True),
        Step("secrets", f"python tools/site_secrets.py {inventory}", needed=True),
        # Journals are searched from here on: a lab may have an older history.
        Step("journals-mark", f"{SEARCH} mark --inventory {Path(inventory).name}"),
    ]


def molecule(root: Path, roles: Sequence[str] = ()) -> list[Step]:
    """Return the scenarios of the roles, all by default, in the order in which they build.

    What a named role stands on is converged first, so that one scenario runs alone on a bare lab.
    """
    described = catalogue.descriptions()
    # Networks come before every service, the operator's files after all of them.
    order = ["network", *catalogue.order(described), "operator"]
    there = [role for role in order if (root / "molecule" / role / "molecule.yml").exists()]
    unknown = sorted(set(roles) - set(there))
    if unknown:
        sys.exit(f"error: no scenario for {', '.join(unknown)}; there are {', '.join(there)}")
    tested = [role for role in there if not roles or role in roles]
    needed = {"network"} if set(tested) - {"network"} else set()
    for role in tested:
        needed |= catalogue.basis(role, described) if role in described else set()
    if "operator" in tested:
        needed |= set(described)
    steps = []
    for role in [role for role in there if role in needed | set(tested)]:
        # The lab is up already: no other scenario has to create it.
        which = f"--no-shared-state --scenario-name {role}"
        build = f"converge-{role}"
        if role in tested:
            steps.append(Step(f"check-{role}", f"molecule check {which}"))
        steps.append(Step(build, f"molecule converge {which}", needed=role not in tested))
        if role in tested:
            steps += [
                Step(f"{name}-{role}", f"molecule {name} {which}", after=build)
                for name in ("idempotence", "verify")
            ]
    return steps


def labs(root: Path) -> list[Step]:
    """Return the tests that start machines of their own: the lab itself, networks, the guest."""
    apart = " ".join(f"tests/{name}" for name in OWN_LABS)
    return [Step("labs", f"pytest -q -m lab {apart}", junit=True, beside=True)]


def lab(root: Path) -> list[Step]:
    """Return the tests of the whole cloud, and of labs of their own beside it."""
    apart = (*OWN_LABS, *BAD_DAYS, *DAY_TWO, "ha", JOURNALS)
    rest = " ".join(f"--ignore=tests/{name}" for name in apart)
    return [
        *labs(root),
        Step("site", f"{PLAYBOOK} playbooks/site.yml", needed=True, alone=True),
        Step("journals-site", f"{SEARCH} --new"),
        Step("verify", f"{PLAYBOOK} playbooks/verify.yml"),
        Step("journals-verify", f"{SEARCH} --new"),
        Step("cloud", f"pytest -q -m lab {rest}", junit=True),
        Step("journals", f"pytest -q -m lab tests/{JOURNALS}", junit=True),
    ]


def bad_days(root: Path, which: Sequence[str] = ()) -> list[Step]:
    """Return what hurts the cloud: power cuts, full disks, wrong input; it must be well before.

    `which` names the tests, all by default.
    """
    tests = " ".join(which or [f"tests/{name}" for name in BAD_DAYS])
    return [
        Step("site", f"{PLAYBOOK} playbooks/site.yml", needed=True),
        Step("bad-days", f"pytest -q -m lab {tests}", junit=True),
    ]


def day_two(root: Path, which: Sequence[str] = ()) -> list[Step]:
    """Return what an operator does to a cloud in use, all by default."""
    tests = " ".join(which or [f"tests/{name}" for name in DAY_TWO])
    return [
        Step("site", f"{PLAYBOOK} playbooks/site.yml", needed=True),
        Step("day-two", f"pytest -q -m lab {tests}", junit=True),
        Step("journals", f"pytest -q -m lab tests/{JOURNALS}", junit=True),
    ]


def ha(root: Path, which: Sequence[str] = ()) -> list[Step]:
    """Return what three controllers are put through, in a lab of their own (CAIRN_LAB)."""
    inventory = "inventories/lab-ha"
    return [
        *machines(root, inventory),
        Step("site", f"ansible-playbook -i {inventory} playbooks/site.yml", needed=True),
        Step("journals", f"{SEARCH} --inventory {Path(inventory).name}"),
        Step("ha", f"pytest -q -m lab {' '.join(which) or 'tests/ha'}", junit=True),
    ]


def junit_count(path: Path) -> Count:
    """Return what pytest counted in its JUnit file."""
    counts = Count()
    for suite in ElementTree.parse(path).iter("testsuite"):  # noqa: S314 - pytest wrote it just now
        numbers = {
            key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")
        }
        failed = numbers["failures"] + numbers["errors"]
        skipped = numbers["skipped"]
        counts += Count(numbers["tests"] - failed - skipped, failed, skipped)
    return counts


def run(step: Step, logs: Path, show: Callable[[str], None]) -> Count:
    """Run one step, keeping its output and handing it line by line to `show`."""
    show(f"== {step.name}: {step.command}")
    junit = logs / f"{step.name}.xml"
    junit.unlink(missing_ok=True)
    command = shlex.split(step.command) + ([f"--junitxml={junit}"] if step.junit else [])
    begin = time.monotonic()
    with (logs / f"{step.name}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", "PATH": f"{TOOLS}:{os.environ['PATH']}"},
        )
        assert process.stdout is not None  # noqa: S101 - for mypy
        for line in process.stdout:
            show(line.rstrip("\n"))
            log.write(line)
            log.flush()
        status = process.wait()
    count = Count(passed=int(status == 0), failed=int(status != 0))
    if step.junit and junit.exists():
        counted = junit_count(junit)
        # A runner that dies after its tests has failed, whatever they said.
        died = Count(counted.passed, 1, counted.skipped)
        count = counted if counted.failed or not status else died
    told = "ok" if not count.failed else f"FAILED (exit {status})"
    show(f"== {step.name}: {told}, {time.monotonic() - begin:.0f} s\n")
    return count


def tell(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


@dataclass
class Result:
    """What came of some steps: their tests, and the names of those that failed."""

    count: Count = field(default_factory=Count)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # steps with skipped tests, and how many


class Lanes:
    """Steps in lanes that run at the same time."""

    def __init__(self, steps: Sequence[Step], logs: Path) -> None:
        """Part `steps`; what they print goes to the folder `logs`."""
        self.logs = logs
        self.beside = [step for step in steps if step.beside]
        self.behind = [step for step in steps if step.after]
        self.cloud = [step for step in steps if not step.beside and not step.after]
        self.outcome: dict[str, bool] = {}
        self.news = threading.Condition()

    def ended(self, step: Step, *, well: bool) -> None:
        """Tell the other lanes how a step ended."""
        with self.news:
            self.outcome[step.name] = well
            self.news.notify_all()

    def failed_before(self, step: Step) -> str:
        """Wait for what a step comes behind; the name of what failed of it, or nothing."""
        behind = {one.name for one in self.behind} if step.alone else {step.after} - {""}
        with self.news:
            self.news.wait_for(lambda: behind <= self.outcome.keys())
            return "" if self.outcome.get(step.after, True) else step.after

    def run_lane(self, steps: Sequence[Step], *, live: bool) -> Result:
        """Run steps one after another; after a needed one that failed, the rest are left out.

        Unless `live`, a step is shown when it has ended, so that it does not mix with another's
        output.
        """
        result, broken = Result(), ""
        try:
            for step in steps:
                if missing := broken or self.failed_before(step):
                    tell(f"== {step.name}: not run, since {missing} failed")
                    self.ended(step, well=False)
                    continue
                shown: list[str] = []
                count = run(step, self.logs, tell if live else shown.append)
                if shown:
                    tell("\n".join(shown))
                result.count += count
                if count.skipped:
                    result.skipped.append(f"{step.name} ({count.skipped})")
                if count.failed:
                    result.failed.append(step.name)
                    broken = step.name if step.needed else ""
                self.ended(step, well=not count.failed)
        finally:
            # Whatever went wrong in this program: no other lane may wait for ever.
            for step in steps:
                if step.name not in self.outcome:
                    self.ended(step, well=False)
        return result

    def run(self) -> list[Result]:
        """Run all lanes to their end."""
        with ThreadPoolExecutor(2) as pool:
            others = [
                pool.submit(self.run_lane, lane, live=not self.cloud)
                for lane in (self.behind, self.beside)
            ]
            return [self.run_lane(self.cloud, live=True), *(other.result() for other in others)]


def run_all(
    steps: Sequence[Step], logs: Path, left_out: Sequence[str] = (), reason: str = ""
) -> Count:
    """Run the steps, each in its lane; say what failed.

    `left_out` names steps that would have belonged here, for `reason`: each counts as skipped.
    """
    logs.mkdir(parents=True, exist_ok=True)
    results = Lanes(steps, logs).run()
    total = sum((result.count for result in results), Count())
    failed = [name for result in results for name in result.failed]
    if failed:
        tell(f"failed: {', '.join(failed)}; their output is in {logs}")
    skipped = [name for result in results for name in result.skipped]
    if skipped:
        tell(f"tests were skipped in: {', '.join(skipped)}; why stands in {logs}/*.xml")
    if left_out:
        total += Count(skipped=len(left_out))
        tell(f"THE CLOUD IS NOT TESTED: {reason}; left out: {', '.join(left_out)}")
    tell(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return total


WITHOUT_CLOUD = "without-cloud"


def plan(words: Sequence[str], root: Path) -> list[Step]:
    """Return the steps that the command line asks for; everything when it is empty."""
    if not words:
        return [*lint(root), *unit(root), *machines(root), *molecule(root), *lab(root)]
    group, *chosen = words
    if group == "molecule":
        return [*machines(root), *molecule(root, chosen)]
    if group == "bad-days":
        return [*machines(root), *bad_days(root, chosen)]
    if group == "day-two":
        return [*machines(root), *day_two(root, chosen)]
    if group == "ha":
        return ha(root, chosen)
    groups = {
        "lint": lint(root),
        "unit": unit(root),
        "labs": labs(root),
        "lab": [*machines(root), *lab(root)],
        WITHOUT_CLOUD: [*lint(root), *unit(root), *labs(root)],
    }
    if group not in groups or chosen:
        sys.exit(
            f"error: {' '.join(words)!r}: use lint, unit, labs, lab, molecule [ROLE…], "
            "bad-days [TEST…], day-two [TEST…] or ha [TEST…]"
        )
    return groups[group]


def main() -> int:
    """Run the command; return its exit code.

    `without-cloud REASON` is for a machine that is too slow for the whole: what it leaves out is
    named and counted as skipped.
    """
    words, reason, left_out = sys.argv[1:], "", []
    if words[:1] == [WITHOUT_CLOUD] and len(words) == 2:
        reason = words.pop()
        chosen = {step.name for step in plan(words, ROOT)}
        left_out = [step.name for step in plan([], ROOT) if step.name not in chosen]
    total = run_all(plan(words, ROOT), LOGS, left_out, reason)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main())
