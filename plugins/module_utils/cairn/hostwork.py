"""What modules do on a managed host to stage, switch and roll back generations.

Standard library only. Every step may be cut off by a power loss and started again: folders are
made under a temporary name and renamed, links are replaced by renaming.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import grp
import hashlib
import json
import os
import pkgutil
import pwd
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import health, hoststate, masking, oslo_validate, paths

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STARTING = ("start-pre", "start", "start-post")
AHEAD = 1800.0  # seconds that switches wait for others which were begun before them
PAUSE = 1.0  # seconds between looks at units that start


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


# --- accounts and folders -------------------------------------------------------------------


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


# --- generations ----------------------------------------------------------------------------


def kept_path(path: str) -> str:
    """Where a file is kept inside a generation: etc/… for the service's own, root/… for others."""
    return f"root{path}" if path.startswith("/") else f"etc/{path}"


def file_content(file: Mapping[str, Any], venv: Mapping[str, Any] | None) -> bytes:
    """A file's content, from the manifest or from the virtualenv that brings it."""
    if "from_venv" in file:
        source = Path(paths.VENVS / (venv or {})["name"] / file["from_venv"])
        try:
            return source.read_bytes()
        except OSError as error:
            raise HostError(f"{source} is not in the virtualenv: {error.strerror}") from None
    return str(file["content"]).encode()


def stage(manifest: dict[str, Any]) -> bool:
    """Write a generation beside the running one; True when it was written now.

    The folder appears under its name only when it is whole and the new code's own validator has
    accepted it. Nothing that runs refers to it yet.
    """
    role, ident = manifest["role"], manifest["id"]
    target = paths.generation(role, ident)
    if hoststate.load_manifest(role, ident):
        return False
    draft = target.with_name(f".{ident}.draft")
    if draft.exists():
        shutil.rmtree(draft)
    account = manifest["user"].get("name", "root")
    group = grp.getgrnam(account).gr_name if account != "root" else "root"
    for folder in (paths.STATE, paths.SERVICES, paths.service(role), target.parent):
        folder.mkdir(mode=0o755, exist_ok=True)
    draft.mkdir(mode=0o755)
    ensure_directory({"path": str(draft / "etc"), "group": group, "mode": "0750"})
    ensure_directory({"path": str(draft / "root"), "mode": "0700"})
    ensure_directory({"path": str(draft / "units"), "mode": "0755"})
    kept = []
    for file in manifest["files"]:
        content = file_content(file, manifest["venv"])
        place = draft / kept_path(file["path"])
        if not file["path"].startswith("/"):
            for parent in reversed(place.relative_to(draft / "etc").parents[:-1]):
                ensure_directory(
                    {"path": str(draft / "etc" / parent), "group": group, "mode": "0750"}
                )
        write_atomic(place, content, int(file["mode"], 8), file["owner"], file["group"])
        digest = hashlib.sha256(content).hexdigest()
        entry = {k: v for k, v in file.items() if k != "content"}
        kept.append({**entry, "kept": kept_path(file["path"]), "sha256": digest})
    for unit in manifest["units"]:
        if unit["text"]:
            place = draft / "units" / unit["unit"]
            write_atomic(place, unit["text"].encode(), 0o644, "root", "root")
            keep_age(place, paths.current(role) / "units" / unit["unit"])
    if manifest["venv"]:
        (draft / "venv").symlink_to(paths.VENVS / manifest["venv"]["name"])
    build_folders(manifest, draft)
    validate(manifest, draft)
    whole = json.dumps({**manifest, "files": kept}, indent=1).encode()
    write_atomic(draft / "manifest.json", whole, 0o644, "root", "root")
    if target.exists():
        shutil.rmtree(target)
    draft.rename(target)
    return True


def keep_age(place: Path, running: Path) -> None:
    """Give a unit's file the age of the one that runs, where nothing but the age differs.

    Whoever restarts the unit by hand would else be told that systemd has not read it.
    """
    with contextlib.suppress(OSError):
        if running.read_bytes() == place.read_bytes():
            found = running.stat()
            os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))


def build_folders(manifest: Mapping[str, Any], draft: Path) -> None:
    """Make the folders of a draft that commands fill; HostError names the command that fails.

    One that an earlier generation made from the same inputs is taken over by hard links, since
    nothing ever writes into a generation.
    """
    for entry in manifest["build"]:
        folder = draft / entry["folder"]
        same = built_before(manifest["role"], entry)
        if same:
            shutil.copytree(same, folder, symlinks=True, copy_function=os.link)
            continue
        ensure_directory({"path": str(folder)})
        for words in entry["commands"]:
            command = [fill(word, draft / "etc", manifest["venv"]) for word in words]
            must(command, f"{manifest['role']}: making {entry['folder']}")
        # Commands do not wait for the disk; a power loss must not leave a whole manifest beside
        # half a folder.
        os.sync()


def built_before(role: str, entry: Mapping[str, Any]) -> Path | None:
    """The folder that another generation of the role made from the same inputs, if there is one."""
    for text in (paths.service(role) / "generations").glob("*/manifest.json"):
        known = hoststate.load_manifest(role, text.parent.name) or {}
        for other in known.get("build", []):
            found = text.parent / str(other["folder"])
            if other["key"] == entry["key"] and found.is_dir():
                return found
    return None


def fill(command: str, etc: Path, venv: Mapping[str, Any] | None) -> str:
    """A command of a description with {etc}, {generation} and {venv} standing for the staged."""
    place = str(paths.VENVS / venv["name"]) if venv else ""
    for name, path in (("etc", etc), ("generation", etc.parent), ("venv", place)):
        command = command.replace(f"{{{name}}}", str(path))
    return command


def oslo_answers(venv: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What a virtualenv's oslo.config has against INI files: path to text, empty when nothing.

    `files` tells for each path its `namespaces` and which sections are `like` others, too.
    """
    program = pkgutil.get_data(oslo_validate.__package__, "oslo_validate.py") or b""
    python = str(paths.VENVS / venv / "bin" / "python")
    said = must(
        [python, "-c", program.decode()], "validating configuration", stdin=json.dumps(files)
    )
    answers: dict[str, str] = json.loads(said)
    return answers


def remember_options(venv: str, namespaces: list[list[str]]) -> None:
    """Let a virtualenv keep what options its code has; see oslo_validate.

    Where it is only built and lacks modules of Debian's, it is asked for where it is used.
    """
    for names in namespaces:
        with contextlib.suppress(HostError):
            oslo_answers(venv, {os.devnull: {"namespaces": names, "like": {}}})


def validate(manifest: Mapping[str, Any], draft: Path) -> None:
    """Let the new code judge the new configuration; HostError names every complaint."""
    venv = manifest["venv"]
    complaints = []
    files = {
        str(draft / kept_path(file["path"])): {
            "namespaces": file["namespaces"],
            "like": file.get("like", {}),
        }
        for file in manifest["files"]
        if file.get("namespaces")
    }
    if files and venv:
        complaints = [
            f"{Path(path).name}:\n{tail(said)}"
            for path, said in oslo_answers(venv["name"], files).items()
            if said
        ]
    for file in manifest["files"]:
        if Path(file["path"]).parent == paths.SUDOERS:
            # A mistake in one of these files would lock everybody out of sudo.
            done = run(
                ["visudo", "--check", "--quiet", f"--file={draft / kept_path(file['path'])}"]
            )
            if done.returncode:
                complaints.append(f"{file['path']}:\n{tail(done.stdout + done.stderr)}")
    for words in manifest["validate"]:
        command = [
            fill(word, draft / "etc", venv).replace("{root}", str(draft / "root")) for word in words
        ]
        done = run(command)
        if done.returncode:
            complaints.append(f"{' '.join(command)}:\n{tail(done.stdout + done.stderr)}")
    if complaints:
        raise HostError(
            f"{manifest['role']}: the new configuration is refused, nothing was changed\n"
            + "\n".join(complaints)
        )


def show_difference(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """What would change in this service's files against what is there now; secrets masked."""
    differences = []
    for file in manifest["files"]:
        if "content" not in file:
            continue
        path = file["path"]
        place = Path(path) if path.startswith("/") else paths.etc(manifest["role"]) / path
        try:
            before = place.read_text()
        except (OSError, UnicodeDecodeError):
            before = ""
        after = str(file["content"])
        if before == after:
            continue
        if file.get("secret"):
            before, after = ("(a secret)\n" if before else ""), "(a secret, changed)\n"
        else:
            before, after = masking.mask_pair(before, after)
        differences.append(
            {"before_header": str(place), "after_header": str(place),
             "before": before, "after": after}
        )  # fmt: skip
    for unit in manifest["units"]:
        if not unit["text"]:
            continue
        place = paths.UNITS / unit["unit"]
        try:
            before = place.read_text()
        except OSError:
            before = ""
        if before != unit["text"]:
            differences.append(
                {"before_header": str(place), "after_header": str(place),
                 "before": before, "after": unit["text"]}
            )  # fmt: skip
    return differences


# --- the switch -----------------------------------------------------------------------------


def install_links(role: str, manifest: Mapping[str, Any]) -> tuple[set[str], bool]:
    """Put absolute files, the /etc link, units and drop-ins in place.

    Returns the units that got a link or a drop-in of another content, and whether systemd's other
    files changed.
    """
    base = paths.current(role)
    touched: set[str] = set()
    other = False
    for file in manifest["files"]:
        if not file["path"].startswith("/"):
            continue
        place = Path(file["path"])
        if hoststate.sha256_file(place) != file["sha256"]:
            content = (paths.generation(role, manifest["id"]) / file["kept"]).read_bytes()
            write_atomic(place, content, int(file["mode"], 8), file["owner"], file["group"])
            other |= str(place).startswith("/etc/systemd/")
    if manifest["etc"]:
        etc = paths.etc(role)
        if etc.is_dir() and not etc.is_symlink():
            aside = etc.with_name(f"{etc.name}.before-cairn")
            if aside.exists():
                raise HostError(f"{etc} is a folder and {aside} exists: move one of them away")
            etc.rename(aside)
        link_atomic(etc, base / "etc")
    for unit in manifest["units"]:
        name = unit["unit"]
        if unit["text"] and link_atomic(paths.UNITS / name, base / "units" / name):
            touched.add(name)
        dropin = paths.UNITS / f"{name}.d" / "90-cairn.conf"
        wanted = unit["dropin"]
        found = dropin.read_text() if dropin.exists() else None
        if wanted and found != wanted:
            write_atomic(dropin, wanted.encode(), 0o644, "root", "root")
            touched.add(name)
        elif not wanted and found is not None:
            dropin.unlink()
            touched.add(name)
    return touched, other


def remove_leftovers(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Stop and take away units and files that the new generation no longer has."""
    if not old:
        return []
    removed = []
    kept = {unit["unit"] for unit in new["units"]}
    for unit in old["units"]:
        if unit["unit"] in kept:
            continue
        run(["systemctl", "disable", "--now", "--quiet", unit["unit"]])
        if unit["text"]:
            (paths.UNITS / unit["unit"]).unlink(missing_ok=True)
        (paths.UNITS / f"{unit['unit']}.d" / "90-cairn.conf").unlink(missing_ok=True)
        removed.append(f"unit {unit['unit']}")
    files = {file["path"] for file in new["files"]}
    for file in old["files"]:
        if file["path"].startswith("/") and file["path"] not in files:
            Path(file["path"]).unlink(missing_ok=True)
            removed.append(f"file {file['path']}")
    return removed


def enable(units: list[Mapping[str, Any]], states: Mapping[str, Mapping[str, str]]) -> None:
    """Make units start at boot, or not; generated ones by their own link, others by systemd.

    `states` are hoststate's of the same units. systemd is asked only where it has something to
    change: each time it reads all units again, once more for every unit that has an init script.
    """
    ask: dict[str, list[str]] = {"enable": [], "disable": []}
    for unit in units:
        name = unit["unit"]
        verb = "enable" if unit["enabled"] else "disable"
        if unit["text"] and "WantedBy=" in unit["text"]:
            target = "timers.target" if name.endswith(".timer") else "multi-user.target"
            wants = paths.UNITS / f"{target}.wants" / name
            if unit["enabled"]:
                link_atomic(wants, paths.UNITS / name)
            else:
                wants.unlink(missing_ok=True)
        elif not unit["text"] and states.get(name, {}).get("UnitFileState") != f"{verb}d":
            ask[verb].append(name)
    for verb, names in ask.items():
        if names:
            must(["systemctl", verb, "--quiet", *names], f"{verb} units")


def journal(unit: str, lines: int = 25) -> str:
    """The last lines that a unit wrote, for an error message."""
    done = run(["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output=cat"])
    return tail(done.stdout, lines)


def wait_healthy(unit: Mapping[str, Any]) -> float:
    """Wait until a started unit serves; seconds it took. HostError with its journal otherwise."""
    started = time.monotonic()
    problem = health.wait(unit["unit"], unit["health"])
    if problem:
        raise HostError(
            f"{unit['unit']} is not healthy: {problem}\nlast lines of its journal:\n"
            f"{journal(unit['unit'])}"
        )
    return time.monotonic() - started


@refusals()
def apply(role: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Make the host run a generation: links, then only the units whose inputs changed.

    Before a unit is touched, even in its text, it is struck off what is known to run, and comes
    back when it is healthy: whatever ends a switch early, the next one, or the return, has systemd
    read the unit again and starts it.
    Returns restarted, reloaded, stopped, removed and seconds by unit.
    """
    old_ident = hoststate.link_name(paths.current(role))
    old = hoststate.load_manifest(role, old_ident) if old_ident else None
    target = paths.generation(role, manifest["id"])
    running = hoststate.load_running(role)
    if old_ident and old_ident != manifest["id"] and old:
        link_atomic(paths.previous(role), paths.generation(role, old_ident))
        for name in rewritten(old, manifest) & running.keys():
            del running[name]
        save_running(role, running)
    link_atomic(paths.current(role), target)
    result: dict[str, Any] = {
        "removed": remove_leftovers(old, manifest) if old_ident != manifest["id"] else [],
        "seconds": {},
        "from": old_ident,
    }
    touched, reload_needed = install_links(role, manifest)
    # A link that is what it was leads to another text now; a switch that was cut off may have
    # written a drop-in that systemd has not read.
    touched |= {
        u["unit"]
        for u in manifest["units"]
        if (u["text"] or u["dropin"]) and u["unit"] not in running
    }
    if reload_needed or result["removed"] or hoststate.loaded_units(sorted(touched)):
        must(["systemctl", "daemon-reload"], "daemon-reload")
    states = settled_states([unit["unit"] for unit in manifest["units"]])
    enable(manifest["units"], states)
    plan = {unit["unit"]: deed(unit, running, states) for unit in manifest["units"]}
    busy = [u for u in manifest["units"] if plan[u["unit"]] in ("reload", "restart")]
    for unit in busy:
        running.pop(unit["unit"], None)
    save_running(role, running)
    for verb, key in (("stop", "stopped"), ("reload", "reloaded"), ("restart", "restarted")):
        result[key] = [name for name, wanted in plan.items() if wanted == verb]
        act(verb, result[key])
    with ThreadPoolExecutor(max_workers=max(1, len(busy))) as pool:
        waits = {unit["unit"]: pool.submit(wait_healthy, unit) for unit in busy}
    problems = []
    for unit in manifest["units"]:
        name = unit["unit"]
        if name in waits and (error := waits[name].exception()):
            problems.append(str(error))
            continue
        if name in waits:
            result["seconds"][name] = round(waits[name].result(), 1)
        running[name] = unit["fingerprint"]
    for name in set(running) - set(plan):
        del running[name]
    save_running(role, running)
    if problems:
        raise HostError("\n".join(problems))
    return result


def rewritten(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Return the units whose text or drop-in is not what it was in the generation before."""
    before = {unit["unit"]: (unit["text"], unit["dropin"]) for unit in old["units"]}
    return {
        unit["unit"]
        for unit in new["units"]
        if (unit["text"], unit["dropin"]) != before.get(unit["unit"])
    }


def deed(
    unit: Mapping[str, Any], running: Mapping[str, str], states: Mapping[str, Mapping[str, str]]
) -> str:
    """What is to be done to a unit: restart, reload, stop or nothing (an empty string)."""
    state = states.get(unit["unit"], {}).get("ActiveState")
    if unit["state"] == "stopped":
        return "stop" if state in ("active", "activating", "reloading") else ""
    if unit["state"] == "idle":
        return ""
    if state not in ("active", "reloading"):
        return "restart"
    if running.get(unit["unit"]) == unit["fingerprint"] or unit["on_change"] == "none":
        return ""
    return str(unit["on_change"])


def act(verb: str, names: list[str]) -> None:
    """Stop, reload or restart units at once; HostError with the journals of those that failed."""
    if not names:
        return
    if verb == "restart":
        run(["systemctl", "reset-failed", *names])
    done = run(["systemctl", verb, *names])
    if not done.returncode:
        return
    states = hoststate.unit_states(names)
    broken = [n for n in names if states.get(n, {}).get("ActiveState") not in ("active",)]
    journals = "\n".join(f"journal of {name}:\n{journal(name)}" for name in broken or names)
    raise HostError(f"systemctl {verb} failed: {tail(done.stderr)}\n{journals}")


def settled_states(names: list[str], seconds: float = 300) -> dict[str, dict[str, str]]:
    """hoststate's states of units, once none is in the middle of its start; or after so long.

    After a power cut a run may come while a server is still on its way: it is left to arrive. Told
    to end, it might never do so (MariaDB, while it recovers).
    """
    deadline = time.monotonic() + seconds
    while True:
        states = hoststate.unit_states(names)
        starting = any(state.get("SubState") in STARTING for state in states.values())
        if not starting or time.monotonic() > deadline:
            return states
        time.sleep(PAUSE)


def save_running(role: str, running: Mapping[str, str]) -> None:
    """Write down with which inputs each unit was last started."""
    content = json.dumps(running, indent=1, sort_keys=True).encode()
    path = paths.running(role)
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content, 0o644, "root", "root")


def switch(role: str, ident: str) -> dict[str, Any]:
    """Switch a service to a staged generation; on failure go back to the one before and say so."""
    manifest = hoststate.load_manifest(role, ident)
    if manifest is None:
        raise HostError(f"{role}: generation {ident} is not staged on this host")
    old_ident = hoststate.link_name(paths.current(role))
    before = hoststate.link_name(paths.previous(role))
    try:
        return apply(role, manifest)
    except HostError as error:
        old = hoststate.load_manifest(role, old_ident) if old_ident else None
        if old is None or old_ident == ident:
            raise
        try:
            apply(role, old)
        except HostError as second:
            raise HostError(
                f"{role}: generation {ident} failed, and so did the return to {old_ident}\n"
                f"{error}\n--- the return:\n{second}"
            ) from None
        if before and before != old_ident:
            link_atomic(paths.previous(role), paths.generation(role, before))
        raise HostError(
            f"{role}: generation {ident} failed; the service runs {old_ident} again\n{error}"
        ) from None


def switch_ahead(services: Mapping[str, str]) -> None:
    """Switch services, {role: generation}, one after the other; ends at the first that fails.

    Leaves what `switch` returned for `switched_ahead`. The error of one that failed comes again
    when it is switched for good.
    """
    with contextlib.suppress(HostError), host_lock(AHEAD):
        for role, ident in services.items():
            done = {**switch(role, ident), "generation": ident}
            write_atomic(paths.ahead(role), json.dumps(done).encode(), 0o600, "root", "root")


def switched_ahead(role: str, ident: str) -> dict[str, Any]:
    """What `switch_ahead` did when it came to this generation, to be told once; else nothing."""
    path = paths.ahead(role)
    try:
        done = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    path.unlink()
    return done if done.pop("generation") == ident else {}


def prune(role: str, keep: int = 3) -> list[str]:
    """Remove generations that nothing points at, but for the newest ones; what was removed."""
    folder = paths.service(role) / "generations"
    needed = {hoststate.link_name(paths.current(role)), hoststate.link_name(paths.previous(role))}
    entries = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    spare = [p for p in entries if p.name not in needed]
    drafts = [p for p in spare if p.name.startswith(".")]
    doomed = drafts + [p for p in spare if p not in drafts][max(0, keep - len(needed)) :]
    for path in doomed:
        shutil.rmtree(path)
    return [path.name for path in doomed]


# --- records and schemas --------------------------------------------------------------------


def record(name: str, value: str) -> bool:
    """Keep a small fact on the host; True when it was another before."""
    paths.RECORDS.mkdir(parents=True, exist_ok=True)
    path = paths.RECORDS / name
    if path.exists() and path.read_text() == value:
        return False
    write_atomic(path, value.encode(), 0o644, "root", "root")
    return True


def migrate(role: str, ident: str, phase: str, progress: list[dict[str, Any]]) -> None:
    """Run a service's schema steps of one phase with the staged code and configuration.

    Appends {step, seconds} to `progress` as it goes. HostError names the step that failed.
    """
    manifest = hoststate.load_manifest(role, ident)
    if manifest is None:
        raise HostError(f"{role}: generation {ident} is not staged on this host")
    etc = paths.generation(role, ident) / "etc"
    venv = manifest["venv"]
    path = f"{paths.VENVS / venv['name']}/bin:{SYSTEM_PATH}" if venv else SYSTEM_PATH
    for step in manifest["migrations"]:
        if step["phase"] != phase:
            continue
        started = time.monotonic()
        words = [fill(word, etc, venv) for word in step["command"].split()]
        environment = {k: fill(v, etc, venv) for k, v in step.get("environment", {}).items()}
        done = run(
            words,
            user=step.get("user", manifest["user"].get("name")),
            environment={"PATH": path, **environment},
        )
        if done.returncode not in step.get("success", [0]):
            raise HostError(
                f"{role}: schema step {step['name']} failed (exit {done.returncode}): "
                f"{' '.join(words)}\n{tail(done.stdout + done.stderr)}"
            )
        seconds = round(time.monotonic() - started, 1)
        progress.append({"step": step["name"], "seconds": seconds})
