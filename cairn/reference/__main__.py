"""Write docs/reference: python -m cairn.reference, or `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from .. import PROJECT
from . import contents, markdown, ports, roles, variables

FOLDER = PROJECT / "docs/reference"


def pages() -> Iterable[tuple[str, str]]:
    """All pages by their path below docs/reference."""
    yield "variables.md", variables.variables_page(contents.secret_uses())
    yield "ports.md", ports.ports_page()
    yield from roles.pages()


def made() -> set[Path]:
    """The pages that are there and were made by this; others beside them are written by hand."""
    return {path for path in FOLDER.rglob("*.md") if markdown.MARK in path.read_text()}


def main() -> int:
    """Write what differs, remove what is no longer made; tell which."""
    wanted = {FOLDER / name: text for name, text in pages()}
    for path in sorted(made() - set(wanted)):
        path.unlink()
        print(f"removed {path.relative_to(PROJECT)}")
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(PROJECT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
