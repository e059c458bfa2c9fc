"""Files, links and folders of a managed host.

A power loss may interrupt every step, and the step can be repeated: files and links are created
under a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import HostError, refusal, refusals

FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MOST_LINKS = 40  # as the kernel
LEFT_AFTER = 3600.0  # seconds


def identity(owner: str, group: str) -> tuple[int, int]:
    """The ids of a user and a group; HostError if one does not exist."""
    for find, name, kind in ((pwd.getpwnam, owner, "user"), (grp.getgrnam, group, "group")):
        try:
            find(name)
        except KeyError:
            raise HostError(
                f"there is no {kind} {name}: the package or service that creates it is missing; "
                "run site.yml for its role first"
            ) from None
    return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid


def _ours(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to root (or, in tests, to the user who runs them)."""
    return status.st_uid in (0, os.geteuid())


def _may_link(folder: os.stat_result, link: os.stat_result) -> bool:
    """Whether only root can have created this link."""
    shared = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return _ours(folder) and _ours(link) and not (shared and not folder.st_mode & stat.S_ISVTX)


class _Walk:
    """Opens a folder component by component, starting at /."""

    def __init__(self, folder: Path, make: int | None) -> None:
        self.folder = folder
        self.make = make
        self.at = os.open("/", FOLDER)
        self.trusted = True  # only root could have renamed the components so far
        self.links = 0

    def go(self, path: Path) -> None:
        """Follow a path; an absolute one starts at / again."""
        if path.is_absolute():
            self.move(os.open("/", FOLDER))
        for part in path.parts:
            if part != path.root:
                self.step(part)

    def step(self, part: str) -> None:
        here = os.fstat(self.at)
        self.trusted = self.trusted and _may_link(here, here)
        try:
            found = os.stat(part, dir_fd=self.at, follow_symlinks=False)
        except FileNotFoundError:
            if self.make is None:
                raise
            with contextlib.suppress(FileExistsError):  # created meanwhile
                os.mkdir(part, self.make, dir_fd=self.at)
            found = os.stat(part, dir_fd=self.at, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            self.move(os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=self.at))
            return
        if not (self.trusted and _may_link(here, found)):
            raise HostError(link_refused(self.folder, part))
        self.links += 1
        if self.links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        self.go(Path(os.readlink(part, dir_fd=self.at)))

    def move(self, descriptor: int) -> None:
        os.close(self.at)
        self.at = descriptor


def link_refused(path: Path, part: str) -> str:
    """Why a path is refused: one of its components is a link that root did not create."""
    return (
        f"{path}: {part} is a symbolic link in a folder that users other than root can write to, "
        "and root follows no such link; find out who created it, then remove it (to keep the "
        "folder on another disk, mount that disk there)"
    )


@contextlib.contextmanager
def folder_at(folder: Path, make: int | None = None) -> Iterator[int]:
    """A descriptor of a folder, for calls that take `dir_fd`.

    HostError for a symbolic link below a folder that a user other than root can write to. Links
    that root created in root's own folders, such as /etc/nova, are followed. Missing folders are
    created with the mode `make`; without it FileNotFoundError.
    """
    walk = _Walk(folder, make)
    try:
        try:
            walk.go(folder.absolute())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refusal(error, folder) from error
        yield walk.at
    finally:
        os.close(walk.at)


def _listed(place: int) -> list[str]:
    """Names of the entries of a folder that was opened with FOLDER."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    try:
        return os.listdir(descriptor)  # noqa: PTH208 - of a descriptor
    finally:
        os.close(descriptor)


def _clear_away(name: str, place: int) -> None:
    """Remove temporary files of this file that a power loss has left."""
    left = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.cairn")
    for other in _listed(place):
        with contextlib.suppress(FileNotFoundError):
            if left.fullmatch(other):
                found = os.stat(other, dir_fd=place, follow_symlinks=False)
                if time.time() - found.st_mtime > LEFT_AFTER:  # not of a concurrent write
                    os.unlink(other, dir_fd=place)


@contextlib.contextmanager
def _placed(path: Path) -> Iterator[tuple[int, str]]:
    """The folder of `path` and an unpredictable temporary name, which is renamed to `path`.

    The temporary file is removed on failure. OSErrors become HostErrors.
    """
    with folder_at(path.parent, make=0o755) as place:
        fresh = f".{path.name}.{secrets.token_hex(8)}.cairn"
        try:
            _clear_away(path.name, place)
            yield place, fresh
            os.replace(fresh, path.name, src_dir_fd=place, dst_dir_fd=place)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(fresh, dir_fd=place)
            if isinstance(error, OSError):
                raise refusal(error, path) from error
            raise


def write_atomic(path: Path, content: bytes, mode: int, owner: str, group: str) -> None:
    """Write a file atomically, with its owner and mode from the start.

    Follows no symbolic link that a service's user may have created (see folder_at); a link at
    `path` itself is replaced. On failure HostError, and nothing is left behind.
    """
    uid, gid = identity(owner, group)
    with _placed(path) as (place, fresh):
        descriptor = os.open(fresh, NEW_FILE, 0o600, dir_fd=place)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)


def link_atomic(path: Path, target: Path) -> bool:
    """Make `path` a symlink to `target` atomically; True if that changed anything."""
    if path.is_symlink() and path.readlink() == target:
        return False
    with _placed(path) as (place, fresh):
        os.symlink(target, fresh, dir_fd=place)
    return True


def remove(path: Path) -> bool:
    """Remove a file, or a link itself; True if there was one."""
    try:
        with folder_at(path.parent) as place:
            os.unlink(path.name, dir_fd=place)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refusal(error, path) from error
    return True


def names_in(folder: Path) -> list[str]:
    """Names of a folder's entries, without following links to it; none if it does not exist."""
    try:
        with folder_at(folder) as place:
            return _listed(place)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal(error, folder) from error


def read_file(path: Path) -> bytes | None:
    """What a file in a service's folder holds; None where there is none.

    HostError when it is no plain file: what a link leads to may be root's alone to read.
    """
    try:
        with folder_at(path.parent) as place:
            descriptor = os.open(path.name, OLD_FILE, dir_fd=place)
            with os.fdopen(descriptor, "rb") as handle:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise HostError(f"{path} is no plain file; look who made it, then remove it")
                return handle.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HostError(link_refused(path, path.name)) from None
        raise refusal(error, path) from error


def ensure_directory(entry: Mapping[str, Any]) -> list[str]:
    """Make a folder with the owner and mode that it should have; what was done.

    HostError when its place is taken by something else, such as a link that root did not make.
    """
    path = Path(entry["path"])
    uid, gid = identity(entry.get("owner", "root"), entry.get("group", "root"))
    mode = int(str(entry.get("mode", "0755")), 8)
    done = []
    there = path.is_dir()
    with folder_at(path, make=0o755) as place, refusals():
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=place)
        try:
            if not there:
                done.append(f"folder {path}")
            found = os.fstat(descriptor)
            if (found.st_uid, found.st_gid) != (uid, gid):
                os.fchown(descriptor, uid, gid)
                done.append(f"owner of {path}")
            if found.st_mode & 0o7777 != mode:
                os.fchmod(descriptor, mode)
                done.append(f"mode of {path}")
        finally:
            os.close(descriptor)
    return done
