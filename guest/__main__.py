"""Make the test guest's disk and print where it is: `python -m guest [--refresh]`."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from guest import image, packages
from lab import cache
from lab.run import LabError, Progress


def recipe() -> str:
    """A name that changes with any of our files that go into the guest."""
    code = [path for path in Path(__file__).parent.rglob("*") if path.suffix == ".py"]
    own = [entry.path.encode() + entry.content for entry in image.own_files()]
    return f"guest-{cache.key(*(path.read_bytes() for path in sorted(code)), *own)}-"


def build(*, refresh: bool = False) -> Path:
    """The guest's disk, from the cache if it is there; `refresh` asks Debian for newer packages.

    A disk is used as long as our part of it is unchanged: a test guest need not follow each
    kernel update.
    """
    ready = None if refresh else cache.find(recipe())
    if ready:
        return ready / "disk.raw"
    progress = Progress("test guest")
    work = cache.root() / "guest.work"
    log = cache.root() / "guest.log"
    with cache.lock(cache.root() / "guest.work.lock"):
        shutil.rmtree(work, ignore_errors=True)
        fetched = packages.fetch(work, progress, log)

        def fill(folder: Path, _: int) -> None:
            image.build(fetched, folder)

        entry = cache.entry(recipe() + fetched.release, fill)
        shutil.rmtree(work)
    progress.show("done", now=True)
    return entry / "disk.raw"


def main() -> int:
    """Run the command line; 1 with the reason on standard error when that fails."""
    parser = argparse.ArgumentParser(prog="python -m guest", description=__doc__)
    parser.add_argument("--refresh", action="store_true", help="fetch Debian's newest kernel")
    try:
        print(build(refresh=parser.parse_args().refresh))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
