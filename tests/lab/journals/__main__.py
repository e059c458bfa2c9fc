"""`python -m tests.lab.journals [mark]`: see lab.py."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.lab.deployed import Cloud

from . import lab


def main(words: list[str] | None = None) -> int:
    """Run the command; 1 where there is a complaint that nobody knows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["search", "mark"], default="search")
    parser.add_argument("--inventory", default="lab", help="folder below inventories/")
    since = parser.add_mutually_exclusive_group()
    since.add_argument("--boot", action="store_true", help="since the last boot, past any mark")
    since.add_argument("--new", action="store_true", help="since the last search with --new")
    parser.add_argument("--show", action="store_true", help="show complaints, and end well")
    options = parser.parse_args(words)
    name = os.environ.get("CAIRN_LAB", options.inventory)
    if options.what == "mark":
        lab.set_mark(name)
        return 0
    cloud = Cloud(Path(tempfile.gettempdir()), options.inventory, name)
    if options.new:
        report = lab.search_new(cloud)
    else:
        mark = None if options.boot else lab.marked(name)
        report = lab.search(cloud, mark.time if mark else None)
    print(str(report) or "no complaint that is not known")
    if not options.new:  # what others have met is asked for at the end of all
        for entry in report.stale:
            print(f"known.yml: met nothing: {entry}")
    return int(bool(report.unknown) and not options.show)


if __name__ == "__main__":
    sys.exit(main())
