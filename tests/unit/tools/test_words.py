"""`make lint` finds words out of use, wherever a reader may meet them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

SETTINGS: dict[str, Any] = {
    "words": [
        {"word": "whilom", "write": "earlier"},
        {"word": "(has|had) no need of", "write": "does not need"},
    ],
    "paths": ["docs", "code"],
    "except": {"docs/list.md": "it is the list"},
}
LISTED = yaml.safe_load((Path(__file__).parents[3] / "tools/words.yml").read_text())


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/words.py")


@pytest.fixture
def found(tool: ModuleType, tmp_path: Path) -> Callable[..., list[str]]:
    """What is found in a file of a project."""

    def search(name: str, text: str, *paths: str) -> list[str]:
        for folder in SETTINGS["paths"]:
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        lines: list[str] = tool.search(tmp_path, SETTINGS, paths)
        return lines

    return search


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/page.md", "Whilom it was so."),
        ("docs/page.md", "| a table | whilom |"),
        ("code/module.py", "# A comment: whilom.\n"),
        ("code/module.py", 'raise Error(f"{host}: whilom")\n'),
        ("code/module.py", "def test_it_is_whilom_so():\n"),
        ("code/tasks.yml", "- name: Whilom\n"),
        ("code/program", "#!/bin/sh\necho whilom\n"),
    ],
)
def test_a_word_is_found(found: Callable[..., list[str]], name: str, text: str) -> None:
    (line,) = found(name, text)
    assert line.startswith(f"{name}:{text.lower().partition('whilom')[0].count(chr(10)) + 1}: ")
    assert "write earlier" in line


@pytest.mark.parametrize(
    "text",
    [
        "It has no need of it.",
        "It has\nno need of it.",
        "    # It has no\n    # need of it.\n",
        '    "it has no "\n    f"need of {it}"\n',
        "> It has no need\n> of it.\n",
    ],
)
def test_a_phrase_is_found_over_the_ends_of_lines(
    found: Callable[..., list[str]], text: str
) -> None:
    (line,) = found("code/module.py", text)
    assert "has no need of" in line


@pytest.mark.parametrize("text", ["whilomer", "It has a need of it.", "no need. Of it"])
def test_other_words_are_left_alone(found: Callable[..., list[str]], text: str) -> None:
    assert found("docs/page.md", text) == []


def test_what_is_excepted_or_elsewhere_is_not_read(
    found: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/page.md").write_text("whilom")
    assert found("docs/list.md", "whilom") == []
    assert len(found("docs/list.md", "whilom", "other")) == 1


def test_a_path_that_is_gone_is_an_error(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no docs"):
        tool.search(tmp_path, SETTINGS)


# Not read: what others wrote.
NOT_READ = {"LICENSE", "requirements.lock"}


def test_everything_else_of_the_project_is_read(root: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    tops = {name.partition("/")[0] for name in listed}
    assert tops - set(LISTED["paths"]) == NOT_READ


@pytest.mark.parametrize("word", [entry["word"] for entry in LISTED["words"]])
def test_a_rule_says_what_to_write(tool: ModuleType, word: str) -> None:
    (rule,) = [r for r in LISTED["words"] if r["word"] == word]
    assert rule["write"]
    assert not tool.rules([rule])[0].pattern.search("")


def test_the_command_fails_where_it_finds_something(
    tool: ModuleType,
    found: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found("docs/page.md", "clean")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/words.yml").write_text(yaml.safe_dump(SETTINGS))
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["words.py"])
    assert tool.main() == 0
    (tmp_path / "docs/page.md").write_text("whilom")
    assert tool.main() == 1
    assert "docs/page.md:1: 'whilom'" in capsys.readouterr().out
