"""The runner of `make test` counts right and leaves out only what cannot work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/run_tests.py")


def test_a_failed_step_is_counted_and_the_next_runs(
    tool: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = [tool.Step("one", "sh -c 'echo broken; exit 3'"), tool.Step("two", "true")]
    assert tool.run_all(steps, tmp_path) == tool.Count(passed=1, failed=1)
    assert (tmp_path / "one.log").read_text() == "broken\n"
    shown = capfd.readouterr().out
    assert "one: FAILED (exit 3)" in shown
    assert shown.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


def test_what_a_slow_machine_leaves_out_is_named_last_and_counted(
    tool: ModuleType, root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    whole = tool.plan([], root)
    ran = []

    def run(step: Any, _logs: Path, _show: Any) -> Any:
        ran.append(step.name)
        return tool.Count(passed=1)

    monkeypatch.setattr(tool, "run", run)
    monkeypatch.setattr(tool.sys, "argv", ["run_tests.py", "without-cloud", "too slow"])
    assert tool.main() == 0
    *_, told, last = capfd.readouterr().out.splitlines()
    left_out = [step.name for step in whole if step.name not in ran]
    assert {"site", "cloud"} <= set(left_out)
    assert {"labs"} <= set(ran)
    assert told == f"THE CLOUD IS NOT TESTED: too slow; left out: {', '.join(left_out)}"
    assert last == f"{len(ran)} passed, 0 failed, {len(left_out)} skipped"


def test_ci_says_so_by_that(root: Path) -> None:
    text = (root / ".ci/run").read_text()
    assert "run_tests.py without-cloud" in text
    assert "make lint" not in text


def test_nothing_is_tried_without_what_it_needs(
    tool: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = [tool.Step("lab-up", "false", needed=True), tool.Step("site", "touch made")]
    assert tool.run_all(steps, tmp_path) == tool.Count(failed=1)
    assert "site: not run, since lab-up failed" in capfd.readouterr().out


def test_what_is_beside_the_cloud_runs_at_the_same_time_and_is_not_mixed_in(
    tool: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each waits for a file that the other makes: one after another they would never end.
    wait = "sh -c 'echo {0}1; touch {2}/{0}; until [ -e {2}/{1} ]; do sleep 0.1; done; echo {0}2'"
    steps = [
        tool.Step("left", wait.format("a", "b", tmp_path), beside=True),
        tool.Step("right", wait.format("b", "a", tmp_path)),
    ]
    assert tool.run_all(steps, tmp_path / "logs") == tool.Count(passed=2)
    assert "a1\na2\n" in capfd.readouterr().out


def test_a_role_is_proved_while_the_next_is_built(
    tool: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # The second is built until the first is proved; the last waits for all that is behind.
    until = "sh -c 'until [ -e {0}/{1} ]; do sleep 0.1; done'"
    steps = [
        tool.Step("build-one", "true"),
        tool.Step("prove-one", f"touch {tmp_path}/proved", after="build-one"),
        tool.Step("build-two", until.format(tmp_path, "proved")),
        tool.Step("prove-two", f"sh -c 'sleep 1; touch {tmp_path}/both'", after="build-two"),
        tool.Step("use", f"test -e {tmp_path}/both", alone=True),
    ]
    assert tool.run_all(steps, tmp_path / "logs") == tool.Count(passed=5)


def test_what_could_not_be_built_is_not_proved(
    tool: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = [
        tool.Step("build", "false"),
        tool.Step("prove", f"touch {tmp_path}/proved", after="build"),
        tool.Step("use", "true", alone=True),
    ]
    assert tool.run_all(steps, tmp_path / "logs") == tool.Count(passed=1, failed=1)
    assert "prove: not run, since build failed" in capfd.readouterr().out
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
    tool: ModuleType, tmp_path: Path, body: str, counted: tuple[int, int, int]
) -> None:
    (tmp_path / "test_it.py").write_text(body)
    step = tool.Step("it", f"pytest -q -p no:cacheprovider {tmp_path}", junit=True)
    assert tool.run_all([step], tmp_path / "logs") == tool.Count(*counted)


def test_skipped_tests_are_counted_with_their_steps(
    tool: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.skip\ndef test_a(): pass\ndef test_b(): pass\n"
        "def test_c(): pytest.skip('no Python 3.13')\n"
    )
    run = f"pytest -q -p no:cacheprovider {tmp_path}"
    # The second dies when all its tests are done: what they said still counts.
    (tmp_path / "dies").write_text(f"#!/bin/sh\n{run} $@; exit 3\n")
    steps = [tool.Step("it", run, junit=True), tool.Step("plain", "true")]
    steps.append(tool.Step("dead", f"sh {tmp_path}/dies", junit=True))
    tool.run_all(steps, tmp_path / "logs")
    *_, failed, skipped, last = capfd.readouterr().out.splitlines()
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
    whole = tool.plan([], root)
    for group in (["lint"], ["unit"], ["lab"], ["molecule"]):
        assert set(tool.plan(group, root)) <= set(whole), group
    assert len({step.name for step in whole}) == len(whole)


def test_every_folder_of_lab_tests_is_in_one_step(tool: ModuleType, root: Path) -> None:
    folders = {
        path.relative_to(root).parts[1]
        for path in root.glob("tests/*/test_*.py")
        if "mark.lab" in path.read_text()
    }
    (labs,) = [step for step in tool.lab(root) if step.name == "labs"]
    (cloud,) = [step for step in tool.lab(root) if step.name == "cloud"]
    (bad,) = [step for step in tool.bad_days(root) if step.name == "bad-days"]
    (two,) = [step for step in tool.day_two(root) if step.name == "day-two"]
    (ha,) = [step for step in tool.ha(root) if step.name == "ha"]
    (last,) = [step for step in tool.lab(root) if step.name == "journals"]
    for folder in folders:
        named = [f"tests/{folder}" in step.command for step in (labs, bad, two, ha, last)]
        ignored = f"--ignore=tests/{folder}" in cloud.command
        assert [*named, not ignored].count(True) == 1, folder


def test_journals_are_searched_after_everything_that_was_done_since_the_mark(
    tool: ModuleType, root: Path
) -> None:
    names = [step.name for step in tool.plan([], root) if not step.beside and not step.after]
    assert names[names.index("site") :] == [
        *("site", "journals-site", "verify", "journals-verify", "cloud", "journals")
    ]
    assert [step.name for step in tool.day_two(root)][-1] == "journals"
    assert names.index("journals-mark") < names.index("converge-base") < names.index("site")
    (mark,) = [step for step in tool.ha(root) if step.name == "journals-mark"]
    assert mark.command.endswith("--inventory lab-ha")


def test_an_unknown_group_is_told(tool: ModuleType, root: Path) -> None:
    with pytest.raises(SystemExit, match="'everything': use lint"):
        tool.plan(["everything"], root)


def test_every_make_target_that_is_named_is_there(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    rules = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    phony = set(" ".join(re.findall(r"(?m)^\.PHONY: (.+)$", makefile)).split())
    assert phony == rules
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    told = {
        name
        for page in pages
        for name in re.findall(r"(?:`|^    |```sh\n)make ([a-z-]+)", page.read_text(), re.M)
    }
    assert told <= rules
