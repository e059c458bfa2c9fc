"""The contributor's page has every key that a service's description may have, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.service import blocks, dialects, oslo
from cairn.site import secrets

PAGE = Path(__file__).parents[3] / "docs/contributing/keys-of-a-description.md"
TEXT = PAGE.read_text()


def declared(block: blocks.Block, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """The mappings with fixed keys, by their place in a description."""
    if isinstance(block, tuple):
        for one in block:
            yield from declared(one, path)
    elif isinstance(block, blocks.Each):
        yield from declared(block.item, path)
    elif isinstance(block, blocks.Named):
        yield from declared(block.item, f"{path}.NAME")
    elif isinstance(block, blocks.Keys):
        yield path, set(block.known)
        for name, inner in block.known.items():
            yield from declared(inner, f"{path}.{name}".removeprefix("."))


def documented() -> dict[str, list[str]]:
    """The keys of the page's tables, by heading."""
    found = {}
    for section in TEXT.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        rows = re.findall(r"^\| (`.*?) \| ", body, re.M)
        found[heading] = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    return {"" if name == "The description" else name: keys for name, keys in found.items()}


BLOCKS = dict(declared(blocks.DESCRIPTION))


def test_every_block_has_a_section() -> None:
    assert set(documented()) == set(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_keys_are_those_that_the_reader_takes(block: str) -> None:
    assert sorted(documented()[block]) == sorted(BLOCKS[block])


@pytest.mark.parametrize(
    ("block", "key", "words"),
    [
        ("config", "oslo", oslo.KNOWN),
        ("config", "dialect", dialects.OPTIONS),
        ("files", "dialect", dialects.FILES),
        ("The description", "secrets", secrets.GENERATORS),
    ],
)
def test_words_that_a_key_takes_are_named(block: str, key: str, words: list[str]) -> None:
    section = TEXT.partition(f"\n## {block}\n")[2].partition("\n## ")[0]
    (row,) = re.findall(rf"^\| `{key}` \| (.*) \|$", section, re.M)
    assert set(re.findall(r"`(\w+)`", row)) >= set(words)
