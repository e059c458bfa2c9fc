"""Every `make` target is there, documented where used, and run by some test or by CI.

A target is exercised where its recipe's own words stand: the table names the words that the recipe
must have, and the file and the words by which a test (or CI) runs the same.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from bench import bench

RUNNER = "tools/run_tests.py"
TARGETS = {
    # target: (what its recipe runs, where that is run, the words there)
    "help": ("awk", "tests/unit/tools/test_targets.py", r'"make", "help"'),
    "python": ("command -v python3", ".ci/run", r"make setup"),
    "tools": ("tools/setup", "tests/unit/docs/test_readme.py", r'"plan"'),
    "setup": ("tools/setup --lab", ".ci/run", r"make setup"),
    "lock": ("uv pip compile", "tests/unit/tools/test_lock.py", r"tool\.main\("),
    "audit": ("tools/audit.py", "tests/unit/tools/test_audit.py", r"tool\.main\("),
    "secrets": ("tools/site_secrets.py", RUNNER, r"tools/site_secrets\.py"),
    "edit-secrets": ("ansible-vault edit", "tests/unit/secrets/test_secrets.py", r"edit-secrets"),
    "draw": (
        "cairn.reference.drawing",
        "tests/unit/docs/test_drawings.py",
        r"drawing\.main\(",
    ),
    "docs": (
        "python -m cairn.reference",
        "tests/unit/docs/test_reference.py",
        r"reference\.pages\(\)",
    ),
    "lab": ("tools/phase verify", "tests/unit/tools/test_phase.py", r"tools/phase"),
    "lab-up": ("lab up", "tests/lab/machines/test_lab_boot.py", r'lab\("up"\)'),
    "lab-status": ("lab status", "tests/lab/machines/test_lab_boot.py", r'lab\("status"'),
    "lab-ssh": ("lab ssh", "tests/lab/machines/test_lab_boot.py", r'lab\("ssh", "solo"'),
    "lab-console": ("lab console", "tests/unit/lab/test_lab_state.py", r'"console", "alpha"'),
    "lab-stop": ("lab stop", "tests/lab/machines/test_lab_boot.py", r'lab\("stop"\)'),
    "lab-destroy": ("lab destroy", "tests/lab/machines/test_lab_boot.py", r'"destroy"\)'),
    "plan": ("playbooks/site.yml --check --diff", "tests/unit/docs/test_readme.py", r'"plan"'),
    "site": ("playbooks/site.yml", RUNNER, r"playbooks/site\.yml"),
    "verify": ("playbooks/verify.yml", RUNNER, r"playbooks/verify\.yml"),
    "rollback": ("playbooks/rollback.yml", "tests/lab/disaster/test_back.py", r"rollback\.yml"),
    "renew": ("playbooks/renew.yml", "tests/unit/bench/test_bench.py", r"renew\.yml"),
    "rotate-keys": (
        "playbooks/rotate-keys.yml",
        "tests/lab/disaster/test_keys.py",
        r"rotate-keys\.yml",
    ),
    "openstack": ("tools/openstack.py", "tests/unit/tools/test_makefile.py", r'"openstack"'),
    "journals": ("tests.lab.journals", "tests/lab/journals/test_lab.py", r"journals"),
    "test": (RUNNER, ".ci/run", r"run_tests\.py --since"),
    "bad-days": (f"{RUNNER} bad-days", "tests/unit/tools/test_run_tests.py", r"bad.days"),
    "day-two": (f"{RUNNER} day-two", "tests/unit/tools/test_run_tests.py", r"day-two"),
    "ha": (f"{RUNNER} ha", "tests/unit/tools/test_run_tests.py", r"\bha\b"),
    "lint": (f"{RUNNER} lint", RUNNER, r"def lint\(root"),
    "unit": (f"{RUNNER} unit", RUNNER, r"def unit\(\)"),
    "labs": (f"{RUNNER} labs", RUNNER, r"def labs\("),
    "venvs": ("tools/venvs.py --release", RUNNER, r"tools/venvs\.py --release"),
    "molecule": (f"{RUNNER} molecule", "tests/unit/tools/test_run_tests.py", r"molecule"),
    "bench": ("bench.bench", "tests/unit/bench/test_bench.py", r"bench\.main\("),
    "service": ("tools.scaffold service", "tests/unit/tools/test_scaffold.py", r'"service"'),
    "check": ("tools.scaffold check", "tests/unit/tools/test_scaffold_code.py", r"MAKE, \*command"),
    "module": (
        "tools.scaffold module",
        "tests/unit/tools/test_scaffold_code.py",
        r"MAKE, \*command",
    ),
    "release": ("towncrier build", "tests/unit/tools/test_release.py", r'"release"'),
    "clean": ("rm -rf .cache", "tests/unit/tools/test_targets.py", r"def test_clean"),
}
MEASUREMENTS = {
    "lab": r"bench\.measure_lab\(\)",
    "again": r"bench\.measure_again\(\)",
    "option": r"bench\.measure_option\(\)",
    "instance": r"bench\.measure_instance\(\)",
    "scale": r"scale\.measure\(\(\d,\)\)",
    "floor": r"bench\.measure_floor\(\)",
    "floor-built": r"bench\.measure_floor_built\(\)",
}
# In code and prose a line may begin with the verb; in a block of a guide such a line is a command.
QUOTED = re.compile(r"`make ([a-z][a-z-]*)")
COMMAND = re.compile(r"^ *make ([a-z][a-z-]*)", re.MULTILINE)
BLOCK = re.compile(r"^ *```sh\n.*?^ *```$|^    make .*$", re.MULTILINE | re.DOTALL)


def targets(root: Path) -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):(?! export)", (root / "Makefile").read_text(), re.M))


def named(path: Path) -> set[str]:
    """Return the targets that a file tells to make."""
    text = path.read_text()
    blocks = BLOCK.findall(text) if path.suffix == ".md" else []
    return set(QUOTED.findall(text) + COMMAND.findall("\n".join(blocks)))


def dry(root: Path, *words: str) -> str:
    """Return what `make` would run."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    own.pop("CAIRN_LAB", None)
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=root, env=own, capture_output=True, text=True, check=True
    )
    return done.stdout.replace("python -m lab --inventory 'inventories/lab' ", "lab ")


def test_the_table_has_every_target_and_no_other(root: Path) -> None:
    assert targets(root) == set(TARGETS)


def test_docs_and_messages_name_only_targets_that_there_are(root: Path) -> None:
    folders = ("docs", "tools", "plugins", "playbooks", "lab", "bench", "roles")
    files = [root / "README.md", root / "Makefile"]
    for folder in folders:
        files += [
            path
            for path in (root / folder).rglob("*")
            if path.suffix in (".md", ".py", ".yml") and path.is_file()
        ]
    unknown = {
        (str(path.relative_to(root)), name)
        for path in files
        for name in named(path)
        if name not in TARGETS
    }
    assert unknown == set()


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_is_exercised(root: Path, target: str) -> None:
    recipe, where, words = TARGETS[target]
    ran = dry(
        root,
        target,
        "HOST=controller1",
        "SERVICE=nova",
        "ROLE=glance",
        "VERSION=9.9.9",
        "NAME=etcd",
        "PORT=2379",
        "FACT=cpus",
        "LEAST=2",
        "REMEDY=add one",
        "FILE=/etc/issue.net",
    )
    assert recipe in ran, f"`make {target}` does not run {recipe}"
    text = (root / where).read_text()
    assert re.search(words, text), f"{where} does not exercise `make {target}`"
    if where == RUNNER:  # which CI runs
        assert RUNNER in (root / ".ci/run").read_text()
    else:
        assert where == ".ci/run" or Path(where).name.startswith("test_")


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_a_measurement_is_run_by_a_test(root: Path, name: str) -> None:
    assert set(MEASUREMENTS) == set(bench.MEASURES)
    assert re.search(MEASUREMENTS[name], (root / "tests/unit/bench/test_bench.py").read_text())
    assert f"    {name} " in (bench.__doc__ or "")


def test_help_lists_what_a_person_may_want(root: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "help"], cwd=root, env=own, capture_output=True, text=True, check=True
    ).stdout
    listed = set(re.findall(r"^  ([a-z-]+) ", shown, re.M))
    assert listed == set(TARGETS) - {"python"}


def test_help_has_the_targets_under_their_headings(root: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(
        ["make"], cwd=root, env=own, capture_output=True, text=True, check=True
    ).stdout
    groups = {}
    for block in shown.split("\n\n")[1:]:
        title, *lines = block.splitlines()
        groups[title] = {line.split()[0] for line in lines}
    assert list(groups) == ["set-up", "the lab", "a site", "proof", "new parts", "this repository"]
    assert {"lab", "lab-ssh"} <= groups["the lab"]
    assert {"plan", "site", "rollback"} <= groups["a site"]
    assert {"test", "lint", "unit", "ha"} <= groups["proof"]
    assert groups["new parts"] == {"service", "check", "module"}
    assert {"release", "clean"} <= groups["this repository"]


def test_clean_forgets_caches_only(root: Path) -> None:
    (words,) = [line.split() for line in dry(root, "clean").splitlines() if line.startswith("rm ")]
    assert all(word.startswith(".") and "/" not in word for word in words[2:])
    assert ".venv" not in words
