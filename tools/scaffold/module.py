"""A new module: it keeps settings in a file of its own on a host.

The module, the function that does its work, their test and the changelog fragment are copies of
templates.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from . import parts

PREFIX = "cairn_"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", help="of the module, such as cairn_environment")
    parser.add_argument("--file", required=True, help="that it writes on the host")


def check(root: Path, name: str, file: str) -> None:
    """Refuse a name that is taken, and a file that is no plain path."""
    parts.require_name(name, rf"{PREFIX}[a-z][a-z0-9_]{{2,20}}", "module", "cairn_environment")
    topic = name.removeprefix(PREFIX)
    shipped = f"plugins/module_utils/cairn_host/{topic}"
    test = f"tests/unit/host/test_{topic}.py"
    parts.require_new(root, f"plugins/modules/{name}.py", shipped, f"{shipped}.py", test)
    if not re.fullmatch(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+", file):
        raise parts.ScaffoldError(f"{file!r} is no path of a file, such as /etc/issue.net")


def files(root: Path, asked: argparse.Namespace) -> dict[str, str]:
    """Return everything that is to be written: path to content."""
    check(root, asked.name, asked.file)
    topic = asked.name.removeprefix(PREFIX)
    return parts.copies("module", {"/etc/example.conf": asked.file, "example": topic})
