#!/usr/bin/env python3
"""Make a release's locked virtualenvs on this machine: `make venvs RELEASE=2026.1`.

They land in `.cache/venvs/<release>/<lock>`, where the tests look for the release's own validator
and programs. One that was made from the same lock before stays as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cairn import releases

PROJECT = Path(__file__).resolve().parents[1]
UV = PROJECT / ".venv" / "bin" / "uv"
NOT_SERVICES = ("build",)


def interpreter(version: str) -> str:
    """Find a Python of `version`; a shim of pyenv may come first and not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [str(path) for path in pyenv.glob(f"versions/{version}*/bin/python")]
    if first := shutil.which(f"python{version}"):
        candidates.insert(0, first)
    for candidate in candidates:
        asked = subprocess.run([candidate, "--version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return candidate
    raise OSError(f"no Python {version}, which the managed hosts have, is installed here")


def make(lock: Path, folder: Path, python: str) -> bool:
    """Make one virtualenv; False when it is there already. CalledProcessError where uv fails."""
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / "cairn-lock"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    builders = lock.with_name("build.lock")
    commands = [
        [
            *("venv", "--quiet", "--clear", "--no-python-downloads"),
            "--python",
            python,
            folder,
        ],
        [
            *("pip", "sync", "--quiet", "--require-hashes", "--build-constraints", builders),
            *("--python", folder / "bin" / "python", lock),
        ],
    ]
    for command in commands:
        subprocess.run([str(word) for word in (UV, *command)], check=True)
    stamp.write_text(wanted)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Make all virtualenvs of a release, or the named ones; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--release", required=True, help="folder below releases/")
    parser.add_argument("names", nargs="*", help="locks; all of the release by default")
    parser.add_argument(
        "--if-possible", action="store_true", help="no error where the hosts' Python is missing"
    )
    options = parser.parse_args(arguments)
    try:
        version = releases.read(PROJECT / "releases" / options.release).python
    except releases.ReleaseError as error:
        parser.error(str(error))
    try:
        python = interpreter(version)
    except OSError as error:
        print(f"no virtualenvs: {error}", file=sys.stderr)
        return 0 if options.if_possible else 1
    release = PROJECT / "releases" / options.release
    names = options.names or [
        lock.stem for lock in sorted(release.glob("*.lock")) if lock.stem not in NOT_SERVICES
    ]
    for name in names:
        folder = PROJECT / ".cache" / "venvs" / options.release / name
        try:
            made = make(release / f"{name}.lock", folder, python)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {'made' if made else 'is there'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
