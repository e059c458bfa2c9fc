"""Virtualenvs on a managed host: build, pack, unpack and remove them.

Standard library only. A virtualenv is named by the hash of its lock, so a complete one never
changes. The stamp is written last: a virtualenv without it is the rest of a failed attempt.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import paths
from ..errors import HostError
from ..files import write_atomic
from ..probe.generations import link_name
from ..system import must

PYTHON = "/usr/bin/python3"
DISTRO = Path("/usr/lib/python3/dist-packages")
# UNCHECKED_HASH: Python then ignores the times of the sources. Files that cannot be compiled
# (templates, syntax of other versions) are not imported either.
COMPILE = """
import compileall, sys
from py_compile import PycInvalidationMode
mode = PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(sys.argv[1], quiet=2, workers=0, invalidation_mode=mode)
"""
# Creating a file costs more than filling it: files keep the owner, mode and times of creation.
UNPACK = (
    *("tar", "--extract", "--gzip", "--blocking-factor=4096"),
    *("--touch", "--no-same-owner", "--no-same-permissions"),
)


def is_complete(name: str) -> bool:
    """Whether the virtualenv exists and is complete."""
    return (paths.VENVS / name / paths.VENV_COMPLETE).exists()


def place_uv(uv: Mapping[str, str]) -> Path:
    """Install the transferred uv; returns its path."""
    target = Path(paths.UV / uv["version"] / "uv")
    if not target.exists():
        write_atomic(target, Path(uv["transferred"]).read_bytes(), 0o755, "root", "root")
    return target


@contextlib.contextmanager
def making(name: str) -> Iterator[Path]:
    """The path of a virtualenv to create, which is removed on failure and stamped on success.

    Sets the umask with which services can read it.
    """
    path = paths.VENVS / name
    if path.exists():
        shutil.rmtree(path)
    umask = os.umask(0o022)
    try:
        paths.VENVS.mkdir(parents=True, exist_ok=True)
        yield path
        os.sync()  # a power cut must not leave the stamp without the files
        stamp = path / paths.VENV_COMPLETE
        stamp.write_text(time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))
    except (HostError, OSError):
        shutil.rmtree(path, ignore_errors=True)  # free the space on a full disk
        raise
    finally:
        os.umask(umask)


def build(name: str, lock: str, builders: str, uv: Path, environment: Mapping[str, str]) -> bool:
    """Build a virtualenv from the text of its lock; True if it was built now.

    `builders` is the lock of the tools that build source-only packages. Every file is checked
    against its hash. HostError with uv's output if it fails.
    """
    if is_complete(name):
        return False
    paths.UV_CACHE.mkdir(parents=True, exist_ok=True)
    env = {
        "UV_CACHE_DIR": str(paths.UV_CACHE),
        "UV_LINK_MODE": "hardlink",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        **environment,
    }
    with making(name) as path:
        must(
            [str(uv), "venv", "--quiet", "--no-project", "--python", PYTHON, str(path)],
            f"virtualenv {name}",
            environment=env,
        )
        own, tools = path / "cairn.lock", path / "cairn-build.lock"
        own.write_text(lock)
        tools.write_text(builders)
        python = str(path / "bin" / "python")
        options = ["--quiet", "--require-hashes", "--build-constraints", str(tools)]
        must(
            [str(uv), "pip", "sync", *options, "--python", python, str(own)],
            f"installing {name} from its lock",
            environment=env,
        )
        remove_tests(path)
        must([python, "-c", COMPILE, str(path / "lib")], f"compiling {name}")
        (path / ".lock").unlink(missing_ok=True)  # uv's own, world-writable
    return True


def remove_tests(venv: Path) -> None:
    """Remove the packages' tests: a quarter of the files, which nothing imports."""
    for folder in sorted(venv.glob("lib/python3*/site-packages/**/tests")):
        if (folder / "__init__.py").exists():
            shutil.rmtree(folder)


def pack(name: str) -> dict[str, str]:
    """Pack a virtualenv for other hosts: {path, sha256} of the archive.

    Links to modules of Debian's Python are excluded: each host creates its own. The archive is
    world-readable, as the virtualenv is: the login user, who may not be root, fetches it.
    """
    paths.ARCHIVES.mkdir(parents=True, exist_ok=True)
    for folder in (paths.ARCHIVES, paths.ARCHIVES.parent):
        folder.chmod(0o755)
    archive = paths.ARCHIVES / f"{name}.tar.gz"
    links = [
        str(link.relative_to(paths.VENVS))
        for link in (paths.VENVS / name).glob("lib/python3*/site-packages/*")
        if link.is_symlink() and link.readlink().is_relative_to(DISTRO)
    ]
    without = [f"--exclude={link}" for link in [*links, f"{name}/{paths.VENV_COMPLETE}"]]
    must(
        [
            *("tar", "--create", "--use-compress-program=gzip -1", "--file", str(archive)),
            *("--numeric-owner", "--owner=0", "--group=0", *without),
            *("--directory", str(paths.VENVS), name),
        ],
        f"packing {name}",
    )
    archive.chmod(0o644)
    with archive.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {"path": str(archive), "sha256": digest}


def unpack(name: str, archive: Path, sha256: str) -> bool:
    """Unpack a virtualenv that another host has built; True if it was unpacked now."""
    if is_complete(name):
        return False
    with archive.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if digest != sha256:
        raise HostError(f"the archive of virtualenv {name} arrived damaged; run again")
    with making(name):
        must([*UNPACK, f"--file={archive}", f"--directory={paths.VENVS}"], f"unpacking {name}")
    return True


def link_distro_modules(name: str, modules: list[str]) -> None:
    """Link single modules of Debian's Python into a virtualenv."""
    site = next((paths.VENVS / name / "lib").glob("python3*/site-packages"))
    for module in modules:
        found = sorted(DISTRO.glob(f"{module}*"))
        if not found:
            raise HostError(
                f"virtualenv {name}: Debian's Python has no module {module}; add the package that "
                "contains it to the service's description"
            )
        for path in found:
            link = site / path.name
            if not (link.is_symlink() and link.readlink() == path):
                link.unlink(missing_ok=True)
                link.symlink_to(path)


def remove(name: str) -> None:
    """Remove a virtualenv."""
    shutil.rmtree(paths.VENVS / name)


def prune() -> list[str]:
    """Remove virtualenvs that no generation refers to; returns their names."""
    links = paths.SERVICES.glob("*/generations/*/venv")  # intact even if a manifest is damaged
    used = {link_name(link) for link in links}
    doomed = [p for p in paths.VENVS.iterdir() if p.name not in used] if used else []
    for path in doomed:
        shutil.rmtree(path)
    return [path.name for path in doomed]
