"""`make check` and `make module` write code that lint and tests accept, as the guide says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.scaffold import __main__ as scaffold
from tools.scaffold import parts

PAGES = {
    "check": "docs/contributing/add-a-check.md",
    "module": "docs/contributing/write-a-module.md",
}
# `make` itself would set up the copy, and make the reference's other pages.
MAKE = ("make", "--assume-old=tools")
NEW = {
    "check": {"<name>": "processors"},
    "module": {"<name>": "cairn_environment", "<topic>": "environment"},
}
CHECK = {"NAME": "memory_size", "FACT": "memory_mb", "LEAST": "9", "REMEDY": "add memory"}
MODULE = {"NAME": "cairn_banner", "FILE": "/etc/issue.net"}


def commands(root: Path, kind: str) -> list[list[str]]:
    """The commands of a page, as words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (root / PAGES[kind]).read_text(), re.M | re.S)
    lines = "".join(blocks).replace(" && ", "\n").splitlines()
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture(scope="module")
def made(root: Path, copy: Any) -> Any:
    """A copy of the project with the check and the module of the guide."""
    copy.written = {}
    for kind in PAGES:
        command = commands(root, kind)[0]
        assert command[:2] == ["make", kind]
        printed = copy.run(*MAKE, *command[1:]).stdout
        copy.written[kind] = set(re.findall(r"^(?:  |wrote )(\S+)$", printed, re.M))
    copy.run("git", "add", "--all")
    return copy


@pytest.mark.parametrize("kind", PAGES)
def test_the_guide_names_every_file_that_is_written(made: Any, root: Path, kind: str) -> None:
    table = (root / PAGES[kind]).read_text().partition("| file |")[2].partition("\n\n")[0]
    for placeholder, word in NEW[kind].items():
        table = table.replace(placeholder, word)
    cells = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    assert made.written[kind] == set(re.findall(r"`([^`]+)`", " ".join(cells)))


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_what_is_new_has_its_line_in_the_changelog(kind: str) -> None:
    fragments = parts.TEMPLATES / kind / "changelog.d"
    assert [path.name for path in fragments.iterdir()] == [
        {"service": "+example.added.md"}.get(kind, f"+{kind}-example.added.md")
    ]


def test_the_commands_of_the_guide_end_green(made: Any, root: Path) -> None:
    """Those of both pages in one call of each program, since starting one takes seconds."""
    words: dict[str, list[str]] = {}
    for kind in PAGES:
        for command in commands(root, kind)[1:]:
            program, rest = command[0], command[1:]
            # Their own tests have no other cases than those of the guide's `-k`.
            rest = rest[: rest.index("-k")] if "-k" in rest else rest
            words.setdefault(program, []).extend(w for w in rest if w not in ("check", "-q", "."))
    assert set(words) == {"pytest", "ruff", "mypy"}
    made.run("ruff", "check", ".")
    made.run("ruff", "format", "--check", ".")
    made.run("mypy", *words["mypy"])
    made.run("lint-imports")
    made.run("ansible-lint", "--strict", "plugins/modules/cairn_environment.py")
    # Hosts that had no finding have none by the new check.
    tests = [*words["pytest"], "tests/unit/preflight/test_checks.py"]
    expression = "environment or test_processors or healthy_host"
    done = made.run("pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", expression)
    assert "\n12 passed, " in done.stdout, done.stdout


def test_the_reference_lists_the_finding(made: Any) -> None:
    page = (made.root / "docs/reference/findings.md").read_text()
    section = page.partition("\n## processors\n")[2].partition("\n## ")[0]
    text = "has too few processors (*number*); a controller host needs 2"
    row = f"| warning | host | {text} | give it at least two |"
    assert row in section.splitlines()


@pytest.mark.parametrize(
    ("kind", "words", "error"),
    [
        ("check", {}, ""),
        ("module", {}, ""),
        ("check", {"NAME": "Memory"}, "'Memory' is no name of a check"),
        ("check", {"NAME": "network"}, "cairn/preflight/network.py is there already"),
        ("check", {"NAME": "mirrors"}, "preflight has a check mirrors"),
        ("check", {"FACT": "memory"}, "hosts have no fact 'memory'; they have arch, "),
        ("check", {"REMEDY": 'say "please"'}, "a remedy is a line of"),
        ("check", {"GROUP": "controler"}, "invalid choice: 'controler'"),
        ("module", {"NAME": "banner"}, "'banner' is no name of a module"),
        ("module", {"NAME": "cairn_probe"}, "plugins/modules/cairn_probe.py is there already"),
        ("module", {"NAME": "cairn_network"}, "plugins/modules/cairn_network.py is there"),
        ("module", {"NAME": "cairn_storage"}, "cairn_host/storage is there already"),
        ("module", {"FILE": "issue.net"}, "'issue.net' is no path of a file"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    words: dict[str, str],
    error: str,
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(parts, "write", lambda *what: written.append(what))
    given = {"check": CHECK, "module": MODULE}[kind] | words
    options = [f"--{name.lower()}={word}" for name, word in given.items() if name != "NAME"]
    try:
        status = scaffold.main([kind, given["NAME"], *options])
    except SystemExit as refused:  # argparse's
        status = int(str(refused.code))
    assert (bool(status), bool(written)) == (bool(error), not error)
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "words"), [("check", CHECK), ("module", MODULE)])
def test_a_missing_word_is_named(root: Path, kind: str, words: dict[str, str]) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for missing in words:
        given = [f"{name}={word}" for name, word in words.items() if name != missing]
        command = ["make", "--dry-run", kind, *given]
        asked = subprocess.run(
            command, cwd=root, env=own, capture_output=True, text=True, check=False
        )
        assert asked.returncode
        assert f"{missing}=… is missing: {PAGES[kind]}" in asked.stderr
