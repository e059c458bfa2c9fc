"""Find words out of use: `words.py [PATH…]`, by default all that tools/words.yml names.

Spelling checkers judge one word at a time; half of this list are phrases, also across the ends of
lines of a comment or a string.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LIST = "tools/words.yml"
# Between two words of a phrase: white space, or the end of a line of a comment or a string.
GAP = r"""(?:\s|["'#>*]|\bf(?=["']))+"""
# Made by programs, or left by them.
PASSED_OVER = {"__pycache__"}
PICTURES = {".png", ".svg"}


@dataclass(frozen=True)
class Rule:
    """A word out of use and what to write instead."""

    pattern: re.Pattern[str]
    write: str


def rules(words: Iterable[dict[str, str]]) -> list[Rule]:
    """Return the list, ready to search with."""
    found = []
    for entry in words:
        words_of = entry["word"].replace(" ", GAP)
        # An underscore ends a word too: names are made of words.
        whole = rf"(?<![^\W_])(?:{words_of})(?![^\W_])"
        found.append(Rule(re.compile(whole, re.IGNORECASE), entry["write"]))
    return found


def files(root: Path, paths: Sequence[str], excepted: Iterable[str]) -> Iterator[Path]:
    """Return the texts below the paths."""
    for start in (root / path for path in paths):
        if not start.exists():
            raise FileNotFoundError(f"{LIST}: there is no {start.relative_to(root)}")
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            name = path.relative_to(root).as_posix()
            if not path.is_file() or path.is_symlink() or path.suffix in PICTURES:
                continue
            if PASSED_OVER & set(path.parts) or any(fnmatch(name, e) for e in excepted):
                continue
            yield path


def findings(name: str, text: str, searched: Iterable[Rule]) -> Iterator[str]:
    """Return a line for each word of a text that is out of use."""
    for rule in searched:
        for match in rule.pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            words = re.sub(GAP, " ", match.group())
            yield f"{name}:{line}: {words!r} is out of use; write {rule.write} ({LIST})"


def search(root: Path, settings: dict[str, Any], paths: Sequence[str] = ()) -> list[str]:
    """Return the findings of all files."""
    searched = rules(settings["words"])
    return [
        finding
        for path in files(root, paths or settings["paths"], settings["except"])
        for finding in findings(
            path.relative_to(root).as_posix(), path.read_text(errors="replace"), searched
        )
    ]


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Find words out of use.")
    parser.add_argument("paths", nargs="*", help=f"below the project; by default those of {LIST}")
    asked = parser.parse_args()
    found = search(ROOT, yaml.safe_load((ROOT / LIST).read_text()), asked.paths)
    print("\n".join(found) or "no word out of use")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
