"""Write docs/reference: python -m cairn.reference [PAGE…], or `make docs` for all of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .. import PROJECT
from . import commands, contents, drawing, files, findings, markdown, ports, roles, variables

FOLDER = PROJECT / "docs/reference"
IMAGES = PROJECT / "docs/images"


# Pages by their path below docs/reference; those of roles come besides.
SINGLE: Mapping[str, Callable[[], str]] = {
    "variables.md": lambda: variables.variables_page(contents.secret_uses()),
    "ports.md": ports.ports_page,
    "files.md": files.files_page,
    "findings.md": findings.findings_page,
    "commands.md": commands.commands_page,
    "architecture.md": lambda: drawing.architecture_page(contents.inventory()),
    "hosts.md": lambda: drawing.hosts_page(contents.inventory()),
}


def pages() -> Iterable[tuple[str, str]]:
    """All pages by their path below docs/reference."""
    for name, page in SINGLE.items():
        yield name, page()
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


def write(wanted: Mapping[Path, str]) -> None:
    """Write what differs; print which."""
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(PROJECT)}")


def main() -> int:
    """Write the named pages, by default all; then remove what is no longer made."""
    parser = argparse.ArgumentParser(prog="python -m cairn.reference", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(SINGLE)}")
    names = parser.parse_args().pages
    if unknown := set(names) - set(SINGLE):
        parser.error(f"there is no page {', '.join(sorted(unknown))}")
    if names:
        write({FOLDER / name: SINGLE[name]() for name in names})
        return 0
    wanted = {FOLDER / name: text for name, text in pages()}
    wanted |= {IMAGES / name: text for name, text in images()}
    for path in sorted(made() - set(wanted)):
        path.unlink()
        print(f"removed {path.relative_to(PROJECT)}")
    write(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
