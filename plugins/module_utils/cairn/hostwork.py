"""What modules change a managed host with: commands, files, links, accounts, folders.

Standard library only. Every step may be cut off by a power loss and started again: files and
links are made under a temporary name and renamed.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import grp
import json
import os
import pwd
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import masking, paths

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class HostError(Exception):
    """A step failed on the host; the text says what, and how to mend it."""


def refusal(error: OSError, path: Path | None = None) -> HostError:
    """What the system has against a file (`path`, or the one that the error names), as ours."""
    where = path or error.filename
    said = f"{where}: {error.strerror}" if where and error.strerror else str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return HostError(f"{said}; make room there, then run again" if full else said)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What the system refuses meanwhile, such as a write to a full disk, is a HostError."""
    try:
        yield
    except OSError as error:
        raise refusal(error) from error


def pack(value: Any) -> str:
    """Data as one opaque string: it travels as a single module argument that is never logged."""
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


def unpack(text: str) -> Any:
    """The data that `pack` packed."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


@contextlib.contextmanager
def host_lock(wait: float = 300) -> Iterator[None]:
    """One change of this host at a time; HostError when another run holds it for `wait` s.

    What the system refuses during the change is a HostError, too.
    """
    with refusals():
        paths.STATE.mkdir(parents=True, exist_ok=True)
        with (paths.STATE / "lock").open("w") as handle:
            deadline = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise HostError(
                            f"another run has been changing this host for over {wait:.0f} s; "
                            "wait for it, or look for a hanging one: fuser /var/lib/cairn/lock"
                        ) from None
                    time.sleep(0.5)
            yield


def run(
    command: list[str],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 1800,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with a bare environment; never raises on its exit code.

    HostError when it does not end within `timeout` seconds.
    """
    extra: dict[str, Any] = {}
    home = "/root"
    if user and user != "root":
        account = pwd.getpwnam(user)
        groups = os.getgrouplist(user, account.pw_gid)
        extra = {"user": user, "group": account.pw_gid, "extra_groups": groups}
        home = account.pw_dir
    env = {"PATH": SYSTEM_PATH, "HOME": home, "LANG": "C.UTF-8", **(environment or {})}
    try:
        return subprocess.run(
            command,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            timeout=timeout,
            check=False,
            **extra,
        )
    except subprocess.TimeoutExpired as late:
        said = b"".join(text for text in (late.stdout, late.stderr) if isinstance(text, bytes))
        raise HostError(
            f"not at its end after {timeout:g} s: {shown(command)}\n"
            f"{tail(said.decode(errors='replace'))}"
        ) from None


def shown(command: list[str]) -> str:
    """A command as an error names it, without the programs among its words."""
    return " ".join(word for word in command if "\n" not in word)


def tail(text: str, lines: int = 25) -> str:
    """The last lines of a command's output, with passwords in URLs masked."""
    return masking.mask_urls("\n".join(text.strip().splitlines()[-lines:]))


def must(command: list[str], what: str, **how: Any) -> str:
    """Run a command that has to succeed; HostError with its last words otherwise."""
    done = run(command, **how)
    if done.returncode:
        raise HostError(
            f"{what} failed (exit {done.returncode}): {shown(command)}\n"
            f"{tail(done.stdout + done.stderr)}"
        )
    return done.stdout


def write_atomic(path: Path, content: bytes, mode: int, owner: str, group: str) -> None:
    """Put a file in its place whole or not at all, with its owner and mode from the start.

    HostError when the system does not let it; nothing half-written takes up room then.
    """
    fresh = path.with_name(f".{path.name}.cairn")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fchown(descriptor, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        fresh.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise refusal(error, path) from error


def link_atomic(path: Path, target: Path) -> bool:
    """Make `path` a symlink to `target` in one rename; True when that changed anything."""
    if path.is_symlink() and path.readlink() == target:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.cairn")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.rename(path)
    return True


def ensure_account(user: Mapping[str, Any]) -> list[str]:
    """Make the system account that a service runs as; what was done, as sentences."""
    done: list[str] = []
    if not user.get("name"):
        return done
    name = user["name"]
    for group in [*([] if user.get("external") else [name]), *user.get("groups", [])]:
        try:
            grp.getgrnam(group)
        except KeyError:
            must(["groupadd", "--system", group], f"making group {group}")
            done.append(f"group {group}")
    try:
        pwd.getpwnam(name)
    except KeyError:
        home = user.get("home", f"/var/lib/{name}")
        if user.get("external"):
            raise HostError(
                f"there is no user {name}: the package that makes it is missing"
            ) from None
        must(
            [
                "useradd",
                "--system",
                "--gid",
                name,
                "--home-dir",
                home,
                "--shell",
                user.get("shell", "/usr/sbin/nologin"),
                name,
            ],
            f"making user {name}",
        )
        done.append(f"user {name}")
    missing = [g for g in user.get("groups", []) if name not in grp.getgrnam(g).gr_mem]
    if missing:
        must(["usermod", "--append", "--groups", ",".join(missing), name], f"groups of {name}")
        done += [f"{name} in group {g}" for g in missing]
    if not user.get("external"):
        home = Path(user.get("home", f"/var/lib/{name}"))
        done += ensure_directory({"path": str(home), "owner": name, "group": name, "mode": "0755"})
    return done


def ensure_directory(entry: Mapping[str, Any]) -> list[str]:
    """Make a folder with the owner and mode that it should have; what was done."""
    path = Path(entry["path"])
    done = []
    if not path.is_dir():
        path.mkdir(parents=True)
        done.append(f"folder {path}")
    uid = pwd.getpwnam(entry.get("owner", "root")).pw_uid
    gid = grp.getgrnam(entry.get("group", "root")).gr_gid
    mode = int(str(entry.get("mode", "0755")), 8)
    stat = path.stat()
    if (stat.st_uid, stat.st_gid) != (uid, gid):
        os.chown(path, uid, gid)
        done.append(f"owner of {path}")
    if stat.st_mode & 0o7777 != mode:
        path.chmod(mode)
        done.append(f"mode of {path}")
    return done


def record(name: str, value: str) -> bool:
    """Keep a small fact on the host; True when it was another before."""
    paths.RECORDS.mkdir(parents=True, exist_ok=True)
    path = paths.RECORDS / name
    if path.exists() and path.read_text() == value:
        return False
    write_atomic(path, value.encode(), 0o644, "root", "root")
    return True
