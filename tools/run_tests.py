"""Run the project's tests: `run_tests.py [GROUP]`.

Groups are lint, unit, labs, lab, `molecule [ROLE…]`, `bad-days [TEST…]`, `day-two [TEST…]` and `ha
[TEST…]`. Without one it runs all but the last three, each of which takes about as long as all else.

Everything deploys the site once and tests each role there; `molecule` deploys role by role, each in
check mode, for the first time and once more. `labs` has tests of networks that everything leaves
out.

Every step runs even when one before it failed, except those that cannot work without it. Lanes run
at the same time: one deploys, `molecule` tests each role in another while the next is being
built, and one runs what does not touch the cloud. The output of a step is in
`.cache/tests/<step>.log`; the first lane's is shown as it comes, another's when its step ends. A
table shows the result of each stage, then come the tests that failed; the last line counts tests
and says what was left out.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from cairn.service import registry

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
LOGS = ROOT / ".cache/tests"
RELEASE = "2026.1"
LAB_TESTS = "tests/lab"
# Folders of tests that start machines of their own.
OWN_LABS = ("machines", "network")
# Folders of tests of the whole cloud.
WHOLE_CLOUD = ("cloud", "browser")
# Reads the journals: after the deployment, after verify, and last. Each search starts where
# the one before ended, so that the step that caused a message shows it. These show
# what they find, since services complain of each other's timeouts on a machine that is short of
# processors; `make day-two` and `make journals` fail on it.
JOURNALS = "journals"
SEARCH = "python -m tests.lab.journals"
# A machine without an accelerator: too slow for every day.
EMULATED = "machines/test_tcg.py"
# Networks of hosts as installers leave them, and of users other than root: `make labs` has them.
# They take twice as long as its other tests.
LONG = ("network/test_nonroot.py", "network/test_takeover.py")
# What a cloud offers beyond what verify and the dashboard's tests use, or what takes long.
FEATURES = "browser/test_features.py"
# Tests that run by themselves, because they hurt the cloud or take long.
IN_USE = {
    "bad-days": ("disaster", EMULATED),
    "day-two": ("day_two", FEATURES),
    "ha": ("ha",),
}
LAB = "inventories/lab"
PLAYBOOK = f"ansible-playbook -i {LAB}"
Descriptions = Mapping[str, Mapping[str, Any]]


# Lanes: one step of each runs at a time.
CLOUD, PROOFS, BESIDE = "lane of the cloud", "lane of proofs", "lane beside the cloud"
# The reason of a step that came too late begins with this.
LATE = "the machine is too slow:"


@dataclass(frozen=True)
class Step:
    """One command that passes or fails."""

    name: str
    command: str
    stage: str = ""  # what the table at the end counts it under
    lane: str = CLOUD
    junit: bool = False  # pytest counts its tests in a file
    needed: bool = False  # the rest of its lane cannot work without it
    needs: tuple[str, ...] = ()  # steps of other lanes without which it cannot work
    follows: tuple[str, ...] = ()  # steps that must have ended, well or not
    within: float = math.inf  # left out when its turn comes later in the run than so many seconds


def part(stage: str, *steps: Step, lane: str = CLOUD) -> list[Step]:
    """Return steps that are counted together and run in one lane."""
    return [replace(step, stage=stage, lane=lane) for step in steps]


@dataclass
class Result:
    """The result of a step: its tests, or why it did not run."""

    counts: Counter[str]
    begin: float
    end: float
    cause: str = ""

    @property
    def well(self) -> bool:
        """Whether it ran and nothing failed."""
        return not self.cause and not self.counts["failed"]


def python_paths(root: Path) -> list[str]:
    """Return the folders and scripts of Python that mypy checks, as far as they exist."""
    folders = (
        *("bench", "cairn", "filter_plugins", "guest", "lab", "plugins", "tools"),
        # These run only in the lab, where a mistake would show after an hour.
        LAB_TESTS,
    )
    found = [name for name in folders if any((root / name).rglob("*.py"))]
    return [*found, "tools/vault-password"]


def lint(root: Path) -> list[Step]:
    """Return the steps that read the source only."""
    return part(
        "lint",
        Step("ruff", "ruff check ."),
        Step("ruff-format", "ruff format --check ."),
        Step("mypy", f"mypy {' '.join(python_paths(root))}"),
        Step("import-linter", "lint-imports"),
        Step("yamllint", "yamllint --strict ."),
        Step("words", "python tools/words.py"),
        Step("ansible-lint", "ansible-lint --strict"),
        lane=BESIDE,
    )


def unit() -> list[Step]:
    """Return the tests that need no lab; with the release's virtualenvs, its own validator too."""
    return part(
        "unit",
        Step("venvs", f"python tools/venvs.py --release {RELEASE} --if-possible"),
        Step("unit", "pytest -q -m 'not lab' tests/unit", junit=True),
        lane=BESIDE,
    )


def labs(*, short: bool = False) -> list[Step]:
    """Return the tests that start machines of their own: the lab itself, networks, the guest."""
    ignored = [f"--ignore={LAB_TESTS}/{name}" for name in (EMULATED, *(LONG if short else ()))]
    command = f"pytest -q -m lab {folders(OWN_LABS)} {' '.join(ignored)}"
    return part("labs", Step("labs", command, junit=True), lane=BESIDE)


def folders(names: Sequence[str]) -> str:
    """Return the paths of tests in the lab, as arguments."""
    return " ".join(f"{LAB_TESTS}/{name}" for name in names)


def machines(inventory: str = LAB, within: float = math.inf) -> list[Step]:
    """Return the first steps of everything that runs in a lab."""
    return part(
        "machines",
        Step("lab-up", f"python -m lab --inventory {inventory} up", needed=True, within=within),
        Step("secrets", f"python tools/site_secrets.py {inventory}", needed=True),
        # Journals are searched from here on: a lab may have an older history.
        Step("journals-mark", f"{SEARCH} mark --inventory {Path(inventory).name}"),
    )


def check() -> list[Step]:
    """Return a plan of the whole site on bare machines, which have nothing to compare with."""
    return part("site", Step("check-site", f"{PLAYBOOK} playbooks/site.yml --check --diff"))


def scenarios(root: Path, described: Descriptions) -> list[str]:
    """Return the roles that have a scenario, in the order in which they build."""
    # Networks come before every service, the operator's files after all of them.
    order = ["network", *registry.order(described), "operator"]
    return [role for role in order if (root / "molecule" / role / "molecule.yml").exists()]


def scenario(action: str, role: str, **rest: Any) -> Step:
    """Return the step that takes one action of a role's scenario."""
    # The lab is up already: no other scenario has to create it.
    command = f"molecule {action} --no-shared-state --scenario-name {role}"
    return Step(f"{action}-{role}", command, stage="roles", **rest)


def molecule(root: Path, roles: Sequence[str] = ()) -> list[Step]:
    """Return the scenarios of the roles, all by default, in the order in which they build.

    The roles that a named role needs are converged first, so that one scenario runs on a bare lab.
    """
    described = registry.descriptions()
    there = scenarios(root, described)
    unknown = sorted(set(roles) - set(there))
    if unknown:
        sys.exit(f"error: no scenario for {', '.join(unknown)}; there are {', '.join(there)}")
    tested = [role for role in there if not roles or role in roles]
    basis = {"network"} if set(tested) - {"network"} else set()
    for role in tested:
        basis |= registry.basis(role, described) if role in described else set()
    if "operator" in tested:
        basis |= set(described)
    steps = []
    for role in [role for role in there if role in basis | set(tested)]:
        if role in tested:
            steps.append(scenario("check", role))
        # No service can be built without its planes.
        needed = role == "network" or role not in tested
        build = scenario("converge", role, needed=needed)
        steps.append(build)
        if role in tested:
            steps += [
                scenario(proof, role, lane=PROOFS, needs=(build.name,))
                for proof in ("idempotence", "verify")
            ]
    return steps


def proofs(root: Path) -> list[Step]:
    """Return each role's tests, for a lab where the whole site was deployed."""
    return [scenario("verify", role) for role in scenarios(root, registry.descriptions())]


def deployment() -> list[Step]:
    """Return the deployment of the whole site."""
    return part(
        "site",
        Step("site", f"{PLAYBOOK} playbooks/site.yml", needed=True),
        Step("journals-site", f"{SEARCH} --new --show"),
    )


def cloud() -> list[Step]:
    """Return the tests of the whole cloud.

    They wait as users do, for seconds and not for what else the machine has to do: nothing runs
    beside them.
    """
    tests = f"{folders(WHOLE_CLOUD)} --ignore={LAB_TESTS}/{FEATURES}"
    return part(
        "cloud",
        Step("verify", f"{PLAYBOOK} playbooks/verify.yml", follows=("labs",)),
        Step("journals-verify", f"{SEARCH} --new --show"),
        Step("cloud", f"pytest -q -m lab {tests}", junit=True),
        Step("journals-cloud", f"{SEARCH} --new --show"),
        Step(
            "leftovers", f"pytest -q -m lab {LAB_TESTS}/{JOURNALS} -k nothing_is_left", junit=True
        ),
    )


def in_use(group: str, which: Sequence[str] = ()) -> list[Step]:
    """Return the tests of a cloud in use, all by default; the cloud must be healthy before.

    Three controllers have a lab of their own (CAIRN_LAB).
    """
    inventory = "inventories/lab-ha" if group == "ha" else LAB
    tests = shlex.join(which) or folders(IN_USE[group])
    first = [Step("site", f"ansible-playbook -i {inventory} playbooks/site.yml", needed=True)]
    last = []
    if group == "ha":
        first.append(Step("journals", f"{SEARCH} --inventory {Path(inventory).name}"))
    if group == "day-two":
        last.append(Step("journals", f"pytest -q -m lab {LAB_TESTS}/{JOURNALS}", junit=True))
    tried = Step(group, f"pytest -q -m lab {tests}", junit=True)
    return [*machines(inventory), *part(group, *first, tried, *last)]


CHOOSING = ("molecule", *IN_USE)
GROUPS = ("lint", "unit", "labs", "lab", *CHOOSING)


def plan(
    root: Path,
    group: str | None = None,
    which: Sequence[str] = (),
    cloud_within: float | None = None,
) -> list[Step]:
    """Return the steps of a group, or of everything.

    With `cloud_within` the lab's kernel and image are built before all else, which takes a machine
    the longer the slower it is, and the cloud is left out when it took more than so many seconds.
    """
    match group:
        case "lint":
            return lint(root)
        case "unit":
            return unit()
        case "labs":
            return labs()
        case "lab":
            return [*machines(), *labs(short=True), *deployment(), *cloud()]
        case "molecule":
            return [*machines(), *molecule(root, which)]
        case "bad-days" | "day-two" | "ha":
            return in_use(group, which)
    beside = [*lint(root), *unit(), *labs(short=True)]
    rest = [*check(), *deployment(), *proofs(root), *cloud()]
    if cloud_within is None:
        return [*beside, *machines(), *rest]
    first = part("image", Step("image", "python -m lab build"))
    beside[0] = replace(beside[0], follows=("image",))
    return [*first, *beside, *machines(within=cloud_within), *rest]


def junit_counts(path: Path) -> Counter[str]:
    """Return what pytest counted in its JUnit file."""
    counts: Counter[str] = Counter()
    for suite in ElementTree.parse(path).iter("testsuite"):  # noqa: S314 - pytest wrote it just now
        tests, failures, errors, skipped = (
            int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")
        )
        failed = failures + errors
        counts.update(passed=tests - failed - skipped, failed=failed, skipped=skipped)
    return counts


def tell(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def run(step: Step, logs: Path, *, live: bool) -> Result:
    """Run one step; its output is kept, and shown at once or when it has ended."""
    begin = time.monotonic()
    if live:
        tell(f"== {step.name}: {step.command}")
    log, junit = logs / f"{step.name}.log", logs / f"{step.name}.xml"
    junit.unlink(missing_ok=True)
    with log.open("w") as kept:
        process = subprocess.Popen(
            shlex.split(step.command) + ([f"--junitxml={junit}"] if step.junit else []),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if live else kept,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", "PATH": f"{TOOLS}:{os.environ['PATH']}"},
        )
        for line in process.stdout or ():
            tell(line.rstrip("\n"))
            kept.write(line)
            kept.flush()
        status = process.wait()
    counts = junit_counts(junit) if step.junit and junit.exists() else Counter(passed=status == 0)
    if status and not counts["failed"]:
        # A test runner that dies after its tests has failed too.
        counts["failed"] = 1
    result = Result(counts, begin, time.monotonic())
    if not live:
        tell(f"== {step.name}: {step.command}\n{log.read_text(errors='replace')}".rstrip("\n"))
    outcome = "ok" if result.well else f"FAILED (exit {status})"
    tell(f"== {step.name}: {outcome}, {result.end - begin:.0f} s\n")
    return result


def edges(steps: Sequence[Step]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return for each step those that must have ended before it, and those that must be well."""
    before: dict[str, set[str]] = {}
    required: dict[str, set[str]] = {}
    for number, step in enumerate(steps):
        lane = [other for other in steps[:number] if other.lane == step.lane]
        required[step.name] = {other.name for other in lane if other.needed} | set(step.needs)
        awaited = required[step.name] | set(step.follows)
        before[step.name] = {other.name for other in lane[-1:]}
        before[step.name] |= {other.name for other in steps if other.name in awaited}
    return before, required


def run_all(steps: Sequence[Step], logs: Path, began: float) -> dict[str, Result]:
    """Run the steps, each when those before it have ended; `began` is when the run did."""
    logs.mkdir(parents=True, exist_ok=True)
    named = {step.name: step for step in steps}
    live = CLOUD if any(step.lane == CLOUD for step in steps) else steps[0].lane
    before, required = edges(steps)
    results: dict[str, Result] = {}
    running: dict[Future[Result], str] = {}
    sorter = TopologicalSorter(before)
    sorter.prepare()
    with ThreadPoolExecutor(len(steps)) as pool:
        while sorter.is_active():
            ready = sorter.get_ready()
            for name in ready:
                step, now = named[name], time.monotonic()
                missing = [other for other in sorted(required[name]) if not results[other].well]
                if missing:
                    cause = results[missing[0]].cause or f"{missing[0]} failed"
                elif now - began > step.within:
                    cause = f"{LATE} {now - began:.0f} s had passed, the limit is {step.within:.0f}"
                else:
                    running[pool.submit(run, step, logs, live=step.lane == live)] = name
                    continue
                tell(f"== {name}: not run: {cause}")
                results[name] = Result(Counter(skipped=1), now, now, cause)
                sorter.done(name)
            if not ready:  # what is left out makes others ready
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    results[name] = future.result()
                    sorter.done(name)
    return results


SHOWN = 12
"""So many failures of a step are named at the end; a broken lab fails every test."""


def failures(name: str, logs: Path) -> list[str]:
    """Return a line for each test of a step that failed, from pytest's own summary."""
    log = logs / f"{name}.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    # Molecule puts a frame and colours before pytest's lines.
    found = re.findall(r"(?m)^.{0,20}?\b(?:FAILED|ERROR) ((?:tests|molecule)/\S+.*)$", text)
    lines = [f"{name}: {line}" for line in dict.fromkeys(found)]
    more = [f"{name}: and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more


def minutes(seconds: float) -> str:
    """Return a time in minutes and seconds."""
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds >= 60 else f"{seconds:.0f} s"


def summary(steps: Sequence[Step], results: Mapping[str, Result], logs: Path) -> list[str]:
    """Return the results of the stages as lines; the last one has the totals."""
    lines = [f"{'stage':12}{'result':12}{'passed':>9}{'failed':>9}{'skipped':>9}   time"]
    total: Counter[str] = Counter()
    left_out: dict[str, str] = {}
    for stage in dict.fromkeys(step.stage for step in steps):
        inside = {step.name: results[step.name] for step in steps if step.stage == stage}
        counts = sum((result.counts for result in inside.values()), Counter[str]())
        total += counts
        causes = [result.cause for result in inside.values() if result.cause]
        ran = [result for result in inside.values() if not result.cause]
        outcome = "FAILED" if counts["failed"] else "ok" if ran and not causes else "left out"
        if causes and not counts["failed"]:
            left_out[stage] = causes[0]
        took = max(r.end for r in ran) - min(r.begin for r in ran) if ran else 0.0
        numbers = "".join(f"{counts[key]:9}" for key in ("passed", "failed", "skipped"))
        lines.append(f"{stage:12}{outcome:12}{numbers}   {minutes(took)}")
    failed = [name for name, result in results.items() if result.counts["failed"]]
    if failed:
        lines += [line for name in failed for line in failures(name, logs)]
        lines.append(f"failed: {', '.join(failed)}; their output is in {logs}")
    skipped = [
        f"{name} ({result.counts['skipped']})"
        for name, result in results.items()
        if result.counts["skipped"] and not result.cause
    ]
    if skipped:
        lines.append(f"tests were skipped in: {', '.join(skipped)}; {logs}/*.xml has the reasons")
    last = f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped"
    if left_out:
        last += f"; LEFT OUT: {', '.join(left_out)}: {'; '.join(dict.fromkeys(left_out.values()))}"
    return [*lines, last]


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Run the project's tests.")
    parser.add_argument("group", nargs="?", choices=GROUPS, help="everything by default")
    parser.add_argument("which", nargs="*", help="roles, or paths of tests")
    parser.add_argument("--since", type=float, help="when set-up began, in seconds of the epoch")
    parser.add_argument(
        "--cloud-within",
        type=float,
        metavar="SECONDS",
        help="build the lab's kernel and image before all else, and leave the cloud out when more "
        "than so many seconds have passed by then",
    )
    asked = parser.parse_args()
    if asked.which and asked.group not in CHOOSING:
        parser.error(f"{asked.group} takes no names; {', '.join(CHOOSING)} do")
    steps = plan(ROOT, asked.group, asked.which, asked.cloud_within)
    now = time.monotonic()
    began = now - (time.time() - asked.since) if asked.since else now
    results = run_all(steps, LOGS, began)
    if asked.since:
        steps = [Step("set-up", "", stage="set-up"), *steps]
        results = {"set-up": Result(Counter(passed=1), began, now), **results}
    tell("\n".join(summary(steps, results, LOGS)))
    passed = any(result.counts["passed"] for result in results.values())
    return 0 if passed and not any(result.counts["failed"] for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
