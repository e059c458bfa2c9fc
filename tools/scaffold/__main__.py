"""Make the files of something new: `python -m tools.scaffold service|check|module NAME …`.

`make service`, `make check` and `make module` call it. What they write is green in lint and tests;
the contributor's guide says how to go on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import check, module, parts, service

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "docs/contributing"
KINDS = {
    "service": (service, "add-a-service.md"),
    "check": (check, "add-a-check.md"),
    "module": (module, "write-a-module.md"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command, by default that of the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.scaffold", description=__doc__)
    commands = parser.add_subparsers(dest="kind", required=True)
    for kind, (code, _page) in KINDS.items():
        code.arguments(commands.add_parser(kind, prog=f"make {kind}", description=code.__doc__))
    asked = parser.parse_args(words)
    code, page = KINDS[asked.kind]
    try:
        written = code.files(ROOT, asked)
    except parts.ScaffoldError as error:
        print(f"{asked.kind}: error: {error}", file=sys.stderr)
        return 1
    parts.write(ROOT, written)
    print("\n".join(["written:", *(f"  {path}" for path in written)]))
    print(f"next: {GUIDE}/{page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
