#!/usr/bin/env python3
"""Resolve a release's lock files: `make lock RELEASE=2026.1 CONSTRAINTS=path-or-URL`.

Every `releases/<release>/<name>.in` becomes `<name>.lock`: exact versions with the hashes of every
file that the registry offers for them, for the Python and the platform of a managed host (Debian
13, x86-64). The release's official upper constraints are an input only; what they decided stands
in the lock. A lock names no registry, so a site may use a mirror of its own.

`build.lock` pins in the same way what builds the few packages that come as source only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PYTHON = "3.13"
UV = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "uv"
PLATFORM = "x86_64-manylinux_2_40"  # the newest that uv knows below Debian 13's glibc 2.41
UNCONSTRAINED = ("build",)  # upper constraints say nothing about build tools


def header(release: str) -> str:
    """Return the comment that opens every lock of `release`."""
    return f"# Made by `make lock RELEASE={release} CONSTRAINTS=…`; change the .in file instead.\n"


def compile_command(source: Path, constraints: str | None, upgrade: bool) -> list[str]:
    """Return the `uv pip compile` command that resolves `source` and prints the result.

    `constraints` is a path or URL of upper constraints, None for none. Without `upgrade`, versions
    of the existing lock stay where they still fit.
    """
    command = [
        *(str(UV), "pip", "compile", "--quiet", "--generate-hashes"),
        *("--python-version", PYTHON, "--python-platform", PLATFORM),
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *("--no-config", "--output-file", str(source.with_suffix(".lock"))),
    ]
    if constraints is not None and source.stem not in UNCONSTRAINED:
        command += ["--constraints", constraints]
    if upgrade:
        command.append("--upgrade")
    return [*command, str(source)]


def make(source: Path, constraints: str | None, upgrade: bool) -> str | None:
    """Write the lock of one .in file; return an error text or None."""
    done = subprocess.run(
        compile_command(source, constraints, upgrade), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return f"{source}: {done.stderr.strip()}"
    lock = source.with_suffix(".lock")
    lock.write_text(header(source.parent.name) + lock.read_text())
    return None


def main(arguments: list[str] | None = None) -> int:
    """Make all locks of a release, or the named ones; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--release", required=True, help="folder below releases/")
    parser.add_argument("--constraints", help="path or URL of the release's upper constraints")
    parser.add_argument("--upgrade", action="store_true", help="take newer versions where allowed")
    parser.add_argument("--releases", type=Path, default=Path(__file__).parents[1] / "releases")
    parser.add_argument("names", nargs="*", help="locks to make; all of the release by default")
    options = parser.parse_args(arguments)

    folder: Path = options.releases / options.release
    sources = sorted(folder.glob("*.in"))
    if options.names:
        known = {source.stem: source for source in sources}
        unknown = sorted(set(options.names) - set(known))
        if unknown:
            parser.error(f"{folder} has no {', '.join(unknown)}; it has {', '.join(known)}")
        sources = [known[name] for name in options.names]
    if not sources:
        parser.error(f"{folder} has no .in files; a release is a folder with one per lock")
    with ThreadPoolExecutor(max_workers=2) as pool:
        errors = list(
            pool.map(lambda source: make(source, options.constraints, options.upgrade), sources)
        )
    for error in filter(None, errors):
        print(error, file=sys.stderr)
    return 1 if any(errors) else 0


if __name__ == "__main__":
    sys.exit(main())
