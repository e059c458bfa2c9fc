"""Write docs/reference: python -m cairn.reference, or `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from .. import PROJECT
from . import commands, contents, drawing, files, findings, markdown, ports, roles, variables

FOLDER = PROJECT / "docs/reference"
IMAGES = PROJECT / "docs/images"


def pages() -> Iterable[tuple[str, str]]:
    """All pages by their path below docs/reference."""
    yield "variables.md", variables.variables_page(contents.secret_uses())
    yield "ports.md", ports.ports_page()
    yield "files.md", files.files_page()
    yield "findings.md", findings.findings_page()
    yield "commands.md", commands.commands_page()
    yield "architecture.md", drawing.architecture_page(contents.inventory())
    yield "hosts.md", drawing.hosts_page(contents.inventory())
    yield from roles.pages()


def images() -> Iterable[tuple[str, str]]:
    """The drawings of the example, by their path below docs/images."""
    for name, text in drawing.drawings(contents.inventory()).items():
        if name.endswith(".svg"):
            yield name, text


def made() -> set[Path]:
    """The generated pages on disk. Pages without the mark are written by hand."""
    pages = {path for path in FOLDER.rglob("*.md") if markdown.MARK in path.read_text()}
    return pages | set(IMAGES.glob("*.svg"))


def main() -> int:
    """Write the pages that changed, remove obsolete ones, and print the path of each."""
    wanted = {FOLDER / name: text for name, text in pages()}
    wanted |= {IMAGES / name: text for name, text in images()}
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
