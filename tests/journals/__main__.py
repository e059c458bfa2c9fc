"""`python -m tests.journals [mark]`: see lab.py."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.deployed import Cloud

from . import lab


def main() -> int:
    """Run the command; 1 where there is a complaint that nobody knows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["search", "mark"], default="search")
    parser.add_argument("--inventory", default="lab", help="folder below inventories/")
    parser.add_argument("--boot", action="store_true", help="since the last boot, past any mark")
    options = parser.parse_args()
    name = os.environ.get("CAIRN_LAB", options.inventory)
    if options.what == "mark":
        lab.mark(name)
        return 0
    cloud = Cloud(Path(tempfile.gettempdir()), options.inventory, name)
    report = lab.search(cloud, None if options.boot else lab.since(name))
    print(report or "no complaint that is not known")
    for entry in report.stale:
        print(f"known.yml: met nothing: {entry.unit}: {entry.pattern.pattern}")
    return int(bool(report.unknown))


if __name__ == "__main__":
    sys.exit(main())
