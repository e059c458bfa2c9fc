"""Links and anchors of every page lead somewhere; commands name targets and playbooks there are."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from cairn import PROJECT
from cairn.reference import commands, usage
from cairn.service import registry

PAGES = sorted(
    path
    for path in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    if not path.name.startswith("BRIEF")
)
TARGETS = {target.name for target in commands.targets()} | {"python"}
MAKE_VARIABLES = {name for target in commands.targets() for name in target.variables} | {
    "INVENTORY", "LAB", "ARGS", "RELEASE",
}  # fmt: skip
KNOWN, MADE = registry.variables()
CODE = ("cairn", "plugins", "roles", "playbooks", "lab", "tools", "filter_plugins")


def name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


@functools.cache
def tokens(page: Path) -> list[object]:
    return list(MarkdownIt("commonmark").enable("table").parse(page.read_text()))


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """What GitHub makes of the headings of a page."""
    found: dict[str, int] = {}
    parsed = tokens(page)
    for number, token in enumerate(parsed):
        if token.type == "heading_open":  # type: ignore[attr-defined]
            inline = parsed[number + 1]
            text = "".join(c.content for c in inline.children)  # type: ignore[attr-defined]
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            seen = found.get(anchor, -1) + 1
            found[anchor] = seen
            if seen:
                found[f"{anchor}-{seen}"] = 0
    return frozenset(found)


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in getattr(token, "children", None) or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])
            elif child.type == "image":
                yield str(child.attrs["src"])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        ):
            broken.append(link)
    assert broken == []


def test_anchors_are_those_that_github_makes(tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    page.write_text("# One, `two_three`\n\n## Who's who?\n\n## Who's who?\n")
    assert anchors(page) == {"one-two_three", "whos-who", "whos-who-1"}


def shell_lines(page: Path) -> Iterator[str]:
    """The commands of the blocks of a page that are fenced as sh; continued lines are one."""
    for token in tokens(page):
        if token.type == "fence" and token.info.strip() == "sh":  # type: ignore[attr-defined]
            text = token.content.replace("\\\n", " ")  # type: ignore[attr-defined]
            yield from (line for line in text.splitlines() if line.strip())


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if re.fullmatch(r"[|&;]+", word):
            yield words
            words = []
        else:
            words.append(word)
    yield words


COMMANDS = sorted(
    {
        (name(page), line)
        for page in PAGES
        for line in shell_lines(page)
        if re.search(r"\b(make|ansible-playbook)\b", line)
    }
)


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 60


def extra_variables(words: list[str]) -> Iterator[str]:
    """The names of variables that a command gives with -e."""
    for number, word in enumerate(words):
        value = ""
        if word in ("-e", "--extra-vars") and number + 1 < len(words):
            value = words[number + 1]
        elif word.startswith("-e") and "=" in word:
            value = word[2:]
        if value.startswith("{"):
            yield from yaml.safe_load(value)
        elif value and not value.startswith("@"):
            yield value.partition("=")[0]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_names_targets_playbooks_and_variables_that_there_are(
    page: str, line: str
) -> None:
    known = KNOWN | set(commands.GIVEN)
    for words in simple_commands(line):
        plain = [w for w in words if not re.match(r"[A-Z_]+=", w)]
        given = [w for w in words if re.match(r"[A-Z_]+=", w)]
        if plain[:1] == ["make"]:
            for target in plain[1:]:
                assert target in TARGETS, f"{page}: make {target}"
            for variable in given:
                assert variable.partition("=")[0] in MAKE_VARIABLES, f"{page}: {variable}"
                if variable.startswith("ARGS="):
                    words = [*words, *shlex.split(variable.removeprefix("ARGS="))]
        elif plain[:1] == ["ansible-playbook"]:
            playbooks = [w for w in plain if w.startswith("playbooks/")]
            assert playbooks, f"{page}: {line}"
            for playbook in playbooks:
                assert (PROJECT / playbook).is_file(), f"{page}: {playbook}"
        for variable in extra_variables(words):
            assert variable in known or variable.startswith("ansible_"), f"{page}: -e {variable}"


def test_words_of_a_command_are_separated() -> None:
    line = "make site INVENTORY=x ARGS='-e a=1 -e b=2' && ansible-playbook -e '{\"c\": 1}' y | cat"
    first, second, third = simple_commands(line)
    assert first == ["make", "site", "INVENTORY=x", "ARGS=-e a=1 -e b=2"]
    assert list(extra_variables(second)) == ["c"]
    assert third == ["cat"]
    assert list(extra_variables(shlex.split("-e a=1 -e b=2"))) == ["a", "b"]


def blocks(language: str) -> list[tuple[str, str]]:
    """Page and text of each block in a language."""
    return [
        (name(page), token.content)  # type: ignore[attr-defined]
        for page in PAGES
        for token in tokens(page)
        if token.type == "fence"  # type: ignore[attr-defined]
        and token.info.strip() in (language, f"{language[:1]}ml")  # type: ignore[attr-defined]
    ]


YAML = blocks("yaml")
OURS = re.compile(rf"(?:{'|'.join(['cairn', *registry.roles()])})_[a-z0-9_]+")


@pytest.mark.parametrize(("page", "text"), YAML)
def test_a_block_of_yaml_can_be_read_and_names_variables_that_there_are(
    page: str, text: str
) -> None:
    read = yaml.load(text, usage.Loader)  # noqa: S506
    if isinstance(read, dict):
        ours = {key for key in read if isinstance(key, str) and OURS.fullmatch(key)}
        assert ours - KNOWN - MADE == set(), page


def test_blocks_of_yaml_are_found() -> None:
    assert len(YAML) > 20


def test_a_page_that_code_names_is_there() -> None:
    gone = set()
    for folder in CODE:
        for path in (PROJECT / folder).rglob("*"):
            if path.suffix in (".py", ".yml", ".j2") and path.is_file():
                for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text()):
                    if not (PROJECT / page).is_file():
                        gone.add((name(path), page))
    assert gone == set()
