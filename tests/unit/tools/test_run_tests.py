"""The runner of `make test` counts right and leaves out only what cannot work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Run = Callable[..., list[str]]
# Looking for plugins takes pytest three seconds.
FEW_PLUGINS = ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/run_tests.py")


@pytest.fixture
def run(tool: ModuleType, tmp_path: Path) -> Callable[..., list[str]]:
    """Run steps; the lines that are printed at the end."""

    def summary(*steps: Any, seconds_ago: float = 0) -> list[str]:
        logs = tmp_path / "logs"
        results = tool.run_all(steps, logs, time.monotonic() - seconds_ago)
        lines: list[str] = tool.summary(steps, results, logs)
        return lines

    return summary


def test_a_failed_step_is_counted_and_the_next_runs(
    tool: ModuleType, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = run(tool.Step("one", "sh -c 'echo broken; exit 3'"), tool.Step("two", "true"))
    assert (tmp_path / "logs/one.log").read_text() == "broken\n"
    assert "one: FAILED (exit 3)" in capfd.readouterr().out
    assert f"failed: one; their output is in {tmp_path}/logs" in lines
    assert lines[-1] == "1 passed, 1 failed, 0 skipped"


def test_each_stage_has_its_result_and_its_time(tool: ModuleType, run: Run) -> None:
    lines = run(
        *tool.part("easy", tool.Step("one", "sleep 1"), tool.Step("two", "true")),
        *tool.part("hard", tool.Step("three", "false", needed=True), tool.Step("four", "true")),
        *tool.part("later", tool.Step("five", "true")),
    )
    table = [re.split(r" {2,}", line) for line in lines[:4]]
    assert table == [
        ["stage", "result", "passed", "failed", "skipped", "time"],
        ["easy", "ok", "2", "0", "0", "1 s"],
        ["hard", "FAILED", "0", "1", "1", "0 s"],
        ["later", "left out", "0", "0", "1", "0 s"],
    ]
    assert lines[-1] == "2 passed, 1 failed, 2 skipped; LEFT OUT: later: three failed"
    assert [tool.minutes(seconds) for seconds in (0.4, 59, 61, 3600)] == [
        *("0 s", "59 s", "1 min 1 s", "60 min 0 s"),
    ]


def test_what_a_slow_machine_leaves_out_is_in_the_last_line_and_counted(
    tool: ModuleType, run: Run, root: Path
) -> None:
    steps = tool.plan(root, cloud_within=1200)
    tried = [replace(step, command="true", junit=False) for step in steps]
    *_, last = run(*tried, seconds_ago=1300)
    ran = {step.name for step in steps if step.stage in ("image", "lint", "unit", "labs")}
    counts, left_out, why = re.fullmatch(r"(.*); LEFT OUT: (.*): (the machine .*)", last).groups()  # type: ignore[union-attr]
    assert counts == f"{len(ran)} passed, 0 failed, {len(steps) - len(ran)} skipped"
    assert left_out == "machines, site, roles, cloud"
    assert re.fullmatch(r"the machine is too slow: 13\d\d s had passed, the limit is 1200", why)
    *_, last = run(*tried, seconds_ago=1100)
    assert last == f"{len(steps)} passed, 0 failed, 0 skipped"


def test_a_machine_shows_how_slow_it_is_before_all_else(tool: ModuleType, root: Path) -> None:
    before, _ = tool.edges(tool.plan(root, cloud_within=1200))
    assert [name for name, awaited in before.items() if not awaited] == ["image"]
    before, _ = tool.edges(tool.plan(root))
    assert [name for name, awaited in before.items() if not awaited] == ["ruff", "lab-up"]


def test_ci_says_last_what_it_left_out(tool: ModuleType, root: Path, monkeypatch: Any) -> None:
    text = (root / ".ci/run").read_text()
    (line,) = [line for line in text.splitlines() if "run_tests.py" in line]
    assert line == text.splitlines()[-1]
    words = shlex.split(line.replace("$began", str(time.time() - 2000)))[1:]
    monkeypatch.setattr(tool.sys, "argv", words)
    monkeypatch.setattr(tool, "run", lambda *_, **__: tool.Result(Counter(passed=1), 0, 60))
    shown: list[str] = []
    monkeypatch.setattr(tool, "tell", shown.append)
    assert tool.main() == 0
    lines = shown[-1].splitlines()
    assert re.match(r"set-up +ok +1 +0 +0 +33 min", lines[1])
    assert "LEFT OUT: machines, site, roles, cloud: the machine is too slow" in lines[-1]


def test_ci_says_last_that_set_up_failed(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text((root / ".ci/run").read_text())
    (tmp_path / "Makefile").write_text("setup:\n\tfalse\n")
    ran = subprocess.run(
        ["bash", tmp_path / ".ci/run"], capture_output=True, text=True, check=False
    )
    assert ran.returncode
    assert ran.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped: set-up failed"


def test_nothing_is_tried_without_what_it_needs(
    tool: ModuleType, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    lines = run(tool.Step("lab-up", "false", needed=True), tool.Step("site", f"touch {made}"))
    assert lines[-1] == "0 passed, 1 failed, 1 skipped"
    assert "site: not run: lab-up failed" in capfd.readouterr().out
    assert not made.exists()


def test_what_is_beside_the_cloud_runs_at_the_same_time_and_is_not_mixed_in(
    tool: ModuleType, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each waits for a file that the other makes: one after another they would never end.
    wait = "sh -c 'echo {0}1; touch {2}/{0}; until [ -e {2}/{1} ]; do sleep 0.1; done; echo {0}2'"
    lines = run(
        tool.Step("left", wait.format("a", "b", tmp_path), lane=tool.BESIDE),
        tool.Step("right", wait.format("b", "a", tmp_path)),
    )
    assert lines[-1] == "2 passed, 0 failed, 0 skipped"
    assert "a1\na2\n" in capfd.readouterr().out


def test_a_role_is_proved_while_the_next_is_built(
    tool: ModuleType, run: Run, tmp_path: Path
) -> None:
    # The second is built until the first is proved; the last waits for both proofs.
    until = "sh -c 'until [ -e {0}/{1} ]; do sleep 0.1; done'"
    prove = f"sh -c 'sleep 1; touch {tmp_path}/both'"
    lines = run(
        tool.Step("build-one", "true"),
        tool.Step("prove-one", f"touch {tmp_path}/proved", lane=tool.PROOFS, needs=("build-one",)),
        tool.Step("build-two", until.format(tmp_path, "proved")),
        tool.Step("prove-two", prove, lane=tool.PROOFS, needs=("build-two",)),
        tool.Step("use", f"test -e {tmp_path}/both", follows=("prove-one", "prove-two")),
    )
    assert lines[-1] == "5 passed, 0 failed, 0 skipped"


def test_what_could_not_be_built_is_not_proved(
    tool: ModuleType, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    proof = f"touch {tmp_path}/proved"
    lines = run(
        tool.Step("build", "false"),
        tool.Step("prove", proof, lane=tool.PROOFS, needs=("build",)),
        tool.Step("use", "true", follows=("prove",)),
    )
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"
    assert "prove: not run: build failed" in capfd.readouterr().out
    assert not (tmp_path / "proved").exists()


@pytest.mark.parametrize(
    ("body", "counted"),
    [
        ("def test_a(): pass\ndef test_b(): assert 0\ndef test_c(): 1/0", (1, 2, 0)),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass\ndef test_b(): pass", (1, 0, 1)),
        ("import no_such_module", (0, 1, 0)),
        ("", (0, 1, 0)),  # pytest exits 5 when it finds no test: that is no success
    ],
)
def test_pytest_counts_its_own_tests(
    tool: ModuleType,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    counted: tuple[int, int, int],
) -> None:
    monkeypatch.setenv(*FEW_PLUGINS)
    (tmp_path / "test_it.py").write_text(body)
    *_, last = run(tool.Step("it", f"pytest -q -p no:cacheprovider {tmp_path}", junit=True))
    assert last == "{} passed, {} failed, {} skipped".format(*counted)


def test_tests_that_failed_are_named_at_the_end(tool: ModuleType, run: Run, tmp_path: Path) -> None:
    """What CI keeps of a long run is its end."""
    pytests = "FAILED tests/lab/a.py::test_a[b c] - assert 1 == 2\nERROR tests/lab/b.py - gone\n"
    (tmp_path / "one").write_text(pytests + "passed FAILED nothing\n")
    framed = "".join(
        f"  \x1b[2m│\x1b[0m FAILED molecule/nova/tests/t.py::t{n}\n" for n in range(15)
    )
    (tmp_path / "two").write_text(framed)
    lines = run(
        tool.Step("one", f"sh -c 'cat {tmp_path}/one; exit 1'"),
        tool.Step("two", f"sh -c 'cat {tmp_path}/two; exit 1'"),
        tool.Step("well", f"cat {tmp_path}/one"),
    )
    assert lines[-17:-2] == [
        "one: tests/lab/a.py::test_a[b c] - assert 1 == 2",
        "one: tests/lab/b.py - gone",
        *(f"two: molecule/nova/tests/t.py::t{number}" for number in range(12)),
        "two: and 3 more",
    ]


def test_skipped_tests_are_counted_with_their_steps(
    tool: ModuleType, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*FEW_PLUGINS)
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.skip\ndef test_a(): pass\ndef test_b(): pass\n"
        "def test_c(): pytest.skip('no Python 3.13')\n"
    )
    words = f"pytest -q -p no:cacheprovider {tmp_path}"
    # The second dies when all its tests are done: what they said still counts.
    (tmp_path / "dies").write_text(f"#!/bin/sh\n{words} $@; exit 3\n")
    *_, failed, skipped, last = run(
        tool.Step("it", words, junit=True),
        tool.Step("plain", "true"),
        tool.Step("dead", f"sh {tmp_path}/dies", junit=True),
    )
    assert failed.startswith("failed: dead;")
    assert skipped.startswith("tests were skipped in: it (2), dead (2);")
    assert last == "3 passed, 1 failed, 4 skipped"


def test_a_scenario_is_asked_for_by_its_role(tool: ModuleType, tmp_path: Path) -> None:
    for role in ("nova", "base"):
        (tmp_path / "molecule" / role).mkdir(parents=True)
        (tmp_path / "molecule" / role / "molecule.yml").touch()
    base, nova = (
        [f"{name}-{role}" for name in ("check", "converge", "idempotence", "verify")]
        for role in ("base", "nova")
    )
    assert [step.name for step in tool.molecule(tmp_path)] == base + nova
    names = [step.name for step in tool.molecule(tmp_path, ["nova"])]
    assert names == ["converge-base", *nova]
    assert [step.name for step in tool.molecule(tmp_path, ["base"])] == base
    with pytest.raises(SystemExit, match="no scenario for glace; there are base, nova"):
        tool.molecule(tmp_path, ["glace"])


def test_everything_has_a_place_in_the_whole(tool: ModuleType, root: Path) -> None:
    whole = tool.plan(root)
    for group in ("lint", "unit", "lab"):
        assert set(tool.plan(root, group)) <= set(whole), group
    (labs,) = tool.labs()
    (short,) = [step for step in whole if step.name == "labs"]
    ignored = [f"--ignore=tests/lab/{name}" for name in tool.LONG]
    assert short.command.split() == [*labs.command.split(), *ignored]
    assert all((root / "tests/lab" / name).is_file() for name in tool.LONG)
    # The site is planned on bare machines, deployed as a whole, and deployed again.
    names = [step.name for step in whole if step.lane == tool.CLOUD]
    assert names.index("journals-mark") + 1 == names.index("check-site")
    assert names.index("check-site") + 1 == names.index("site")
    assert (root / "tests/lab/cloud/test_second_run.py").exists()
    # Each role is tested where the whole site is, with the commands of its scenario.
    tests = [name for name in names if name.startswith("verify-")]
    described = {path.parent.name for path in (root / "molecule").glob("*/tests")}
    assert {name.removeprefix("verify-") for name in tests} == described
    own = {step.command for step in tool.plan(root, "molecule")}
    assert {step.command for step in whole if step.name in tests} <= own
    assert len({step.name for step in whole}) == len(whole)


def test_every_folder_of_lab_tests_is_in_one_step(tool: ModuleType, root: Path) -> None:
    marked = {
        path.relative_to(root)
        for folder in ("tests", "molecule")
        for path in (root / folder).rglob("test_*.py")
        if "mark.lab" in path.read_text()
    }
    everything = {path.relative_to(root) for path in (root / "tests/lab").rglob("test_*.py")}
    elsewhere = {path.parent.name for path in root.glob("tests/*/test_*.py")}
    assert elsewhere == set(), "tests lie in tests/unit or tests/lab, or nobody runs them"
    assert marked - {Path(__file__).relative_to(root)} == everything, "lab tests lie in tests/lab"
    folders = {path.parts[2] for path in everything}
    (labs,) = tool.labs()
    (cloud,) = [step for step in tool.cloud() if step.name == "cloud"]
    (last,) = [step for step in tool.cloud() if step.name == "leftovers"]
    apart = [step for group in tool.IN_USE for step in tool.in_use(group) if step.name == group]
    for folder in folders:
        steps = (labs, cloud, last, *apart)
        named = [f"tests/lab/{folder}" in step.command.split() for step in steps]
        assert named.count(True) == 1, folder
    (bad_days,) = [step for step in apart if step.name == "bad-days"]
    assert f"--ignore=tests/lab/{tool.EMULATED}" in labs.command.split()
    assert f"tests/lab/{tool.EMULATED}" in bad_days.command.split()
    (day_two,) = [step for step in apart if step.name == "day-two"]
    assert f"--ignore=tests/lab/{tool.FEATURES}" in cloud.command.split()
    assert f"tests/lab/{tool.FEATURES}" in day_two.command.split()


def test_every_lab_test_finds_its_fixtures(root: Path) -> None:
    """Without a lab. Otherwise a missing fixture is seen after an hour."""
    words = ("-q", "-m", "lab", "--setup-plan", "-p", "no:cacheprovider", "tests/lab")
    planned = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=root, env=dict([*os.environ.items(), FEW_PLUGINS]), capture_output=True, text=True,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stdout + planned.stderr


def test_nothing_runs_beside_the_use_of_the_cloud(tool: ModuleType, root: Path) -> None:
    """Starved of a processor, an API does not answer in time."""
    for steps in (tool.plan(root), tool.plan(root, "lab")):
        before, _ = tool.edges(steps)
        names = [step.name for step in steps if step.lane == tool.BESIDE]
        assert names[-1] in before["verify"]
        used = [step.name for step in steps if step.lane == tool.CLOUD]
        assert {"cloud", "journals-cloud"} < set(used[used.index("verify") :])


def test_journals_are_searched_after_everything_that_was_done_since_the_mark(
    tool: ModuleType, root: Path
) -> None:
    names = [step.name for step in tool.plan(root) if step.lane == tool.CLOUD]
    assert [name for name in names[names.index("site") :] if not name.startswith("verify-")] == [
        *("site", "journals-site", "verify", "journals-verify", "cloud"),
        *("journals-cloud", "leftovers"),
    ]
    assert [step.name for step in tool.in_use("day-two")][-1] == "journals"
    assert names.index("journals-mark") < names.index("site")
    (mark,) = [step for step in tool.in_use("ha") if step.name == "journals-mark"]
    assert mark.command.endswith("--inventory lab-ha")


def test_a_test_whose_name_has_spaces_is_passed_on_as_one(tool: ModuleType) -> None:
    one = "tests/lab/day_two/test_plan_is_run.py::test_x[a unit that was stopped]"
    (step,) = [step for step in tool.in_use("day-two", [one]) if step.name == "day-two"]
    assert shlex.split(step.command)[-1] == one


def test_an_unknown_group_is_named(
    tool: ModuleType, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, error in (
        (["everything"], "invalid choice: 'everything'"),
        (["lint", "nova"], "lint takes no names; molecule, bad-days, day-two, ha do"),
    ):
        monkeypatch.setattr(tool.sys, "argv", ["run_tests.py", *words])
        with pytest.raises(SystemExit):
            tool.main()
        assert error in capsys.readouterr().err


def test_every_make_target_that_is_named_is_there(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    rules = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    phony = set(" ".join(re.findall(r"(?m)^\.PHONY: (.+)$", makefile)).split())
    assert phony == rules
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    named = {
        name
        for page in pages
        for name in re.findall(r"(?:`|^    |```sh\n)make ([a-z][a-z-]*)", page.read_text(), re.M)
    }
    assert named <= rules
