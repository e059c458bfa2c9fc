"""The operator's guide: pages of one form, messages that code prints, files that tools take."""

from __future__ import annotations

import ast
import functools
import math
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from unittest import mock

import pytest

from cairn.reference.inventory import Inventory
from cairn.reference.markdown import MARK

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
WIDTH = 100
FORM = [
    "When to use it",
    "Before you start",
    "Commands",
    "What you will see",
    "How long it takes",
    "If it fails",
    "How to undo it",
]
# Pages beside the tasks: lists, and what belongs to users and contributors.
OTHERS = {"glossary", "index", "lab", "not-supported", "troubleshoot", "use-the-cloud"}
TASKS = sorted(page for page in DOCS.glob("*.md") if page.stem not in OTHERS)
CODE = ("cairn", "plugins", "filter_plugins", "lab", "playbooks", "roles", "tools")
# What OpenStack, Ansible, OpenSSH or OpenSSL say.
FOREIGN = {
    "Binding failed for port",
    "No valid host was found",
    "Physical network … is in use",
    "Quota exceeded",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    "Unable to delete compute service that is hosting instances",
    "Unable to establish connection",
    "certificate verify failed",
}


def name(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", TASKS, ids=name)
def test_a_task_has_the_seven_parts(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text(), re.M) == FORM


def test_every_page_is_in_the_index_or_in_that_of_its_folder() -> None:
    pages = [page for page in DOCS.rglob("*.md") if page.name != "index.md"]
    assert len(pages) > 70
    missing = [
        page.name
        for page in pages
        if not any(
            f"]({page.relative_to(folder)})" in (folder / "index.md").read_text()
            for folder in page.parents
            if (folder / "index.md").exists()
        )
    ]
    assert missing == []


def long_lines(text: str) -> list[tuple[int, str]]:
    """Number and text of lines that are too long for a terminal of WIDTH columns.

    Tables and links may be longer, and so may what programs print (blocks without a language).
    """
    found, block = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            block = line.strip().removeprefix("```") if block is None else None
            continue
        free = block in ("", "text") or (block is None and line.startswith("|"))
        if len(line) > WIDTH and not free and " " in line.strip():
            found.append((number, line))
    return found


def test_prose_and_commands_fit_a_terminal() -> None:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    pages = [page for page in [*top, *DOCS.rglob("*.md")] if MARK not in page.read_text()]
    assert len(pages) > 40
    found = {page.name: long_lines(page.read_text()) for page in pages}
    assert {page: lines for page, lines in found.items() if lines} == {}


def test_an_architecture_that_is_not_tested_is_said_to_be() -> None:
    lines = [line for page in DOCS.rglob("*.md") for line in page.read_text().splitlines()]
    named = [line for line in lines if re.search("aarch64|arm64", line)]
    assert len(named) >= 5
    assert [line for line in named if "untested" not in line] == []


def test_the_labs_memory_is_that_of_its_machines() -> None:
    page = (DOCS / "lab.md").read_text()
    machines: list[float] = []
    for lab in ("inventories/lab", "inventories/lab-ha"):
        site = Inventory(ROOT / lab)
        machines.append(sum(site.hostvars[h]["lab_memory_mb"] for h in site.fact["hosts"]) / 1024)
        assert f"| `{lab}` | {machines[-1]:g} GiB |" in page
    # Other pages give the same figures.
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| target |")[2]
    cells = re.findall(r"\| makes it \| (.+?) \|", table)
    figures = {int(number) for cell in cells for number in re.findall(r"(\d+) GiB", cell)}
    assert figures == {math.ceil(memory) for memory in machines}
    computer = re.findall(r"(\d+)\s+GiB\s+of \[memory\]", (ROOT / "README.md").read_text())
    assert computer == re.findall(r"A computer with (\d+) GiB runs either", page)


def test_long_lines_are_found() -> None:
    long = "x " * 60
    text = f"{long}\n| {long} |\n```text\n{long}\n```\n```sh\n{long}\n```\n"
    assert [number for number, _ in long_lines(text)] == [1, 7]


# --- messages ----------------------------------------------------------------------------------


def text_of(node: ast.AST) -> str:
    """The text of a literal; `…` stands for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) or "…" for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (text_of(node.left) or "…") + (text_of(node.right) or "…")
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body)}…{text_of(node.orelse)}"
    return ""


def texts() -> Iterator[str]:
    """Every text that code may print."""
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".j2"):
                yield re.sub(r"\{\{.*?\}\}", "…", path.read_text(), flags=re.S)
            elif path.is_file() and (path.suffix == ".py" or not path.suffix):
                try:
                    tree = ast.parse(path.read_text())
                except (SyntaxError, UnicodeDecodeError):
                    continue
                yield from filter(None, map(text_of, ast.walk(tree)))


@functools.cache
def said() -> str:
    """All of them, one a line."""
    return "\n".join(re.sub(r"\s+", " ", text) for text in texts())


def messages() -> Iterator[tuple[str, str]]:
    """Page and message of every table with a column `message` (or a preflight's finding)."""
    for page in sorted(DOCS.rglob("*.md")):
        column = None
        for line in page.read_text().splitlines():
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if not line.startswith("|"):
                column = None
            elif "message" in cells:
                column = cells.index("message")
            elif column is not None and column < len(cells):
                for quoted in re.findall(r"`([^`]+)`", cells[column]):
                    yield page.stem, quoted


FOUND = sorted(set(messages()))


def test_messages_are_found() -> None:
    assert len(FOUND) > 80


@pytest.mark.parametrize(("page", "message"), FOUND)
def test_a_message_of_the_guide_is_one_of_the_code(page: str, message: str) -> None:
    """Its words, in their order; names of an example stand for what is filled in."""
    if message in FOREIGN:
        return
    parts = [re.escape(part.strip()) for part in re.split(r"…", message) if part.strip(" ,;:.()")]
    assert parts, message
    assert re.search("[^\n]*".join(parts), said()), f"{page}.md: no code says {message!r}"


# --- files -------------------------------------------------------------------------------------

FILE = re.compile(
    r"`((?:bench|cairn|docs|guest|lab|molecule|playbooks|plugins|releases|roles|tests|tools)/[^`]*)`"
)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=name)
def test_a_file_of_the_project_that_a_page_names_is_there(page: Path) -> None:
    """`<…>`, `…` and `*` stand for any name."""
    gone, text = [], page.read_text()
    for path in set(FILE.findall(text)):
        pattern = re.sub(r"<[^>]*>|…", "*", path.split(" ")[0])
        if not any(ROOT.glob(pattern.rstrip("/"))):
            gone.append(path)
    assert gone == []


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    text = (DOCS / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="no debconf here")
@pytest.mark.parametrize("block", blocks("install", "preseed"))
def test_the_preseed_is_one_that_debconf_takes(block: str, tmp_path: Path) -> None:
    file = tmp_path / "preseed.cfg"
    file.write_text(block)
    done = subprocess.run(
        ["debconf-set-selections", "--checkonly", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


# --- commands ----------------------------------------------------------------------------------

GROUPS = ("compute.v2", "network.v2", "image.v2", "identity.v3", "volume.v3", "object_store.v1")
FURTHER = ("common", "placement.v1", "orchestration.v1", "metric.v1")
GLOBAL = {"--os-cloud", "--os-compute-api-version"}


def openstack_commands() -> Iterator[tuple[str, str]]:
    """Page and arguments of every `openstack` command, also by `make`."""
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                given = [w.removeprefix("ARGS=") for w in words if w.startswith("ARGS=")]
                if words[:2] == ["make", "openstack"] and given:
                    yield page.stem, given[0]
                elif words[:1] == ["openstack"]:
                    yield page.stem, shlex.join(words[1:])


@functools.cache
def entry_points() -> dict[str, metadata.EntryPoint]:
    """The commands of the client and its plugins, by their words."""
    found: dict[str, metadata.EntryPoint] = {}
    for group in (*GROUPS, *FURTHER):
        for point in metadata.entry_points(group=f"openstack.{group}"):
            found.setdefault(point.name.replace("_", " "), point)
    return found


OPENSTACK = sorted(set(openstack_commands()))


def test_openstack_commands_are_found() -> None:
    assert len(OPENSTACK) > 40


@pytest.mark.parametrize(("page", "command"), OPENSTACK)
def test_an_openstack_command_is_one_that_the_client_takes(page: str, command: str) -> None:
    words = shlex.split(command)
    while words[0] in GLOBAL:
        words = words[2:]
    length = next((n for n in range(5, 0, -1) if " ".join(words[:n]) in entry_points()), 0)
    assert length, f"{page}.md: there is no command {command!r}"
    made = entry_points()[" ".join(words[:length])].load()(mock.MagicMock(), None)
    made.get_parser(command).parse_args(words[length:])
