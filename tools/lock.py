#!/usr/bin/env python3
"""Resolve a release's lock files: `make lock RELEASE=2026.1 CONSTRAINTS=path-or-URL`.

Every `releases/<release>/<name>.in` becomes `<name>.lock`: exact versions with the hashes of every
file that the registry offers for them, for the Python and the platform of a managed host (Debian
13, x86-64). The release's official upper constraints are an input only; the lock has
the result. `release.yml` names the constraints that locks exceed, with date and reason, and the
versions of each service that are the release's. A lock names no registry, so a site may use a
mirror of its own.

`build.lock` pins in the same way what builds the few packages that come as source only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cairn import releases

PROJECT = Path(__file__).resolve().parents[1]
UV = PROJECT / ".venv" / "bin" / "uv"
PLATFORM = "x86_64-manylinux_2_40"  # the newest that uv knows below Debian 13's glibc 2.41
UNCONSTRAINED = ("build",)  # upper constraints say nothing about build tools


def header(release: releases.Release, lock: str, exceeded: Mapping[str, str]) -> str:
    """Return the comment that opens the lock whose text is `lock`.

    `exceeded` maps packages to the version of the upper constraint that they may exceed; those
    which the lock pins are listed with the date and the reason.
    """
    lines = [
        f"Made by `make lock RELEASE={release.name} CONSTRAINTS=…`; change the .in file instead."
    ]
    pinned = releases.pins(lock)
    lines += [
        f"{override.package} {pinned[override.package]} exceeds the upper constraint"
        f" {exceeded[override.package]} since {override.since}: {override.reason}"
        for override in release.overrides
        if override.package in exceeded and override.package in pinned
    ]
    return "".join(f"# {line}\n" for line in lines)


def read_constraints(where: str) -> str:
    """Return the text of upper constraints, from a path or an http(s) URL; OSError if it fails."""
    if where.startswith(("https://", "http://")):
        with urllib.request.urlopen(where, timeout=60) as answer:  # noqa: S310 - http(s) only
            return str(answer.read().decode())
    return Path(where).read_text()


def compile_command(
    source: Path, python: str, constraints: Path | None, upgrade: bool
) -> list[str]:
    """Return the `uv pip compile` command that resolves `source` and prints the result.

    `python` is the version on managed hosts, `constraints` the file of upper constraints, None for
    none. Without `upgrade`, versions of the existing lock stay where they still fit.
    """
    command = [
        *(str(UV), "pip", "compile", "--quiet", "--generate-hashes"),
        *("--python-version", python, "--python-platform", PLATFORM),
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *("--no-config", "--output-file", str(source.with_suffix(".lock"))),
    ]
    if constraints is not None and source.stem not in UNCONSTRAINED:
        command += ["--constraints", str(constraints)]
    if upgrade:
        command.append("--upgrade")
    return [*command, str(source)]


def make(
    source: Path,
    release: releases.Release,
    constraints: Path | None,
    exceeded: Mapping[str, str],
    upgrade: bool,
) -> str | None:
    """Write the lock of one .in file; return an error text or None.

    A lock whose services are not the release's is an error, and the old lock stays.
    """
    lock = source.with_suffix(".lock")
    before = lock.read_text() if lock.exists() else None
    done = subprocess.run(
        compile_command(source, release.python, constraints, upgrade),
        capture_output=True,
        text=True,
        check=False,
    )
    error = f"{source}: {done.stderr.strip()}" if done.returncode else None
    if error is None:
        text = lock.read_text()
        if strangers := releases.strangers(release, releases.pins(text)):
            error = f"{source}: {'; '.join(strangers)}: bound it in the .in file"
    if error is not None:
        if before is not None:
            lock.write_text(before)
        else:
            lock.unlink(missing_ok=True)
        return error
    lock.write_text(header(release, text, exceeded) + text)
    return None


def override_line(override: releases.Override, exceeded: Mapping[str, str]) -> str:
    """Return a line that says which constraint `override` exceeds, or that it exceeds none."""
    if override.package not in exceeded:
        return f"{override.package}: the constraints allow {override.version}: remove the override"
    return (
        f"{override.package}: {override.version} instead of the upper constraint"
        f" {exceeded[override.package]}, since {override.since}: {override.reason}"
    )


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
    try:
        release = releases.read(folder)
        given = read_constraints(options.constraints) if options.constraints else None
    except (OSError, releases.ReleaseError) as problem:
        parser.error(str(problem))
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(max_workers=2) as pool:
        constraints: Path | None = None
        exceeded: dict[str, str] = {}
        if given is not None:
            relaxed, exceeded = releases.relax(given, release.overrides)
            constraints = Path(temporary, "constraints.txt")
            constraints.write_text(relaxed)
        for override in release.overrides if given is not None else ():
            print(override_line(override, exceeded))
        errors = list(
            pool.map(
                lambda source: make(source, release, constraints, exceeded, options.upgrade),
                sources,
            )
        )
    for error in filter(None, errors):
        print(error, file=sys.stderr)
    return 1 if any(errors) else 0


if __name__ == "__main__":
    sys.exit(main())
