"""Generations: write them beside the running one, validate, compare, repair and prune them.

Runs on the managed host, with the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import grp
import hashlib
import json
import os
import pkgutil
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import errors, files, masking, paths, system
from ..probe import generations
from . import oslo_validator, transition
from .transition import kept_path

EXCHANGE = 2  # renameat2(2): swap both names atomically
HERE = -100  # AT_FDCWD
EMPTY = "(an empty file)\n"


def file_content(file: Mapping[str, Any], venv: Mapping[str, Any] | None) -> bytes:
    """A file's content, from the manifest or from its virtualenv."""
    if "from_venv" in file:
        source = Path(paths.VENVS / (venv or {})["name"] / file["from_venv"])
        try:
            return source.read_bytes()
        except OSError as error:
            raise errors.HostError(f"{source} is not in the virtualenv: {error.strerror}") from None
    return str(file["content"]).encode()


def stage(manifest: dict[str, Any]) -> bool:
    """Write a generation beside the running one; True if it was written now.

    The folder gets its name only when it is complete and the new code's validator has accepted it.
    Nothing that runs refers to it yet. An existing generation is left alone, including manual
    changes, as long as the host itself can restore it (see `repair`).
    """
    role, ident = manifest["role"], manifest["id"]
    target = paths.generation(role, ident)
    existing = generations.load_manifest(role, ident)
    if existing and not generations.beyond_repair(role, existing):
        return False
    draft = target.with_name(f".{ident}.draft")
    if draft.exists():
        shutil.rmtree(draft)
    group = service_group(manifest)
    for folder in (paths.STATE, paths.SERVICES, paths.service(role), target.parent):
        folder.mkdir(mode=0o755, exist_ok=True)
    draft.mkdir(mode=0o755)
    files.ensure_directory({"path": str(draft / "etc"), "group": group, "mode": "0750"})
    files.ensure_directory({"path": str(draft / "root"), "mode": "0700"})
    files.ensure_directory({"path": str(draft / "units"), "mode": "0755"})
    files.ensure_directory({"path": str(draft / "origin"), "mode": "0700"})
    kept = []
    for file in manifest["files"]:
        content = file_content(file, manifest["venv"])
        place = draft / kept_path(file["path"])
        if not file["path"].startswith("/"):
            make_parents(draft / "etc", file["path"], group)
            files.write_atomic(draft / "origin" / file["path"], content, 0o600, "root", "root")
        files.write_atomic(place, content, int(file["mode"], 8), file["owner"], file["group"])
        digest = hashlib.sha256(content).hexdigest()
        entry = {k: v for k, v in file.items() if k != "content"}
        kept.append({**entry, "kept": kept_path(file["path"]), "sha256": digest})
    for unit in manifest["units"]:
        if unit["text"]:
            place = draft / "units" / unit["unit"]
            files.write_atomic(place, unit["text"].encode(), 0o644, "root", "root")
            keep_age(place, paths.current(role) / "units" / unit["unit"])
    if manifest["venv"]:
        (draft / "venv").symlink_to(paths.VENVS / manifest["venv"]["name"])
    build_folders(manifest, draft)
    validate(manifest, draft)
    whole = json.dumps({**manifest, "files": kept}, indent=1).encode()
    files.write_atomic(draft / "manifest.json", whole, 0o644, "root", "root")
    put_in_place(role, draft, target)
    return True


def service_group(manifest: Mapping[str, Any]) -> str:
    """The group that may read a service's configuration; HostError if it does not exist."""
    account = manifest["user"].get("name", "root")
    try:
        return grp.getgrnam(account).gr_name if account != "root" else "root"
    except KeyError:
        raise errors.HostError(
            f"{manifest['role']}: there is no group {account}; the package or service that "
            "creates it is missing"
        ) from None


def make_parents(etc: Path, path: str, group: str) -> None:
    """Create the parent folders of a service's file below a generation's etc/."""
    for parent in reversed(Path(path).parents[:-1]):
        files.ensure_directory({"path": str(etc / parent), "group": group, "mode": "0750"})


def put_in_place(role: str, draft: Path, target: Path) -> None:
    """Give a complete draft its name, atomically even if a damaged generation has that name.

    Units that may run with damaged files are removed from `running.json`.
    """
    if not target.exists():
        draft.rename(target)
        return
    if generations.link_name(paths.current(role)) == target.name:
        strike_edited(role, target.name)
    exchange(draft, target)
    shutil.rmtree(draft)


def strike_edited(role: str, ident: str) -> None:
    """Remove units of the generation in force from `running.json` that may run with edited files.

    All of them if the manifest is damaged.
    """
    manifest = generations.load_manifest(role, ident)
    if manifest is None:
        save_running(role, {})
        return
    running = generations.load_running(role)
    seen = generations.look(role, manifest, manifest, {})
    made = transition.decide(manifest, manifest, seen, generations.places(role))
    save_running(role, strike(running, made))


def strike(running: Mapping[str, str], made: transition.Decision) -> dict[str, str]:
    """`running` without edited units, and with a restart due for units with a changed text.

    If a switch is interrupted after this, the next one restarts these units.
    """
    left = {name: value for name, value in running.items() if name not in made.edited_units}
    return left | dict.fromkeys(made.rewritten, transition.RESTART)


def save_running(role: str, running: Mapping[str, str]) -> None:
    """Save the inputs with which each unit was last started."""
    content = json.dumps(running, indent=1, sort_keys=True).encode()
    path = paths.running(role)
    if not path.exists() or path.read_bytes() != content:
        files.write_atomic(path, content, 0o644, "root", "root")


def exchange(one: Path, other: Path) -> None:
    """Swap the names of two folders atomically.

    On a file system that cannot do so, `other` does not exist for a moment.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
        return
    problem = ctypes.get_errno()
    if problem not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(problem, os.strerror(problem), str(other))
    aside = other.with_name(f".{other.name}.damaged")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def repair(role: str, manifest: Mapping[str, Any]) -> None:
    """Restore a staged generation to its manifest, from the copies that the host keeps.

    Restores content, mode and owner of files and units, and removes files that do not belong there.
    HostError names files without an intact copy.
    """
    ident = manifest["id"]
    base = paths.generation(role, ident)
    faults = transition.own_faults(manifest, generations.read_own(role, ident, manifest))
    if not faults:
        return
    sources = {}
    for file in manifest["files"]:
        if kept_path(file["path"]) in faults:
            sources[file["path"]] = generations.restorable(role, ident, file)
    lost = [path for path, source in sources.items() if source is None]
    if lost:
        if generations.link_name(paths.current(role)) != ident:
            (base / "manifest.json").unlink()  # the host no longer reports it as staged
        raise errors.HostError(
            f"{role}: {', '.join(lost)} of generation {ident} were changed on the host, and no "
            "intact copy is left; run site.yml, which stages the generation again"
        )
    for file in manifest["files"]:
        if source := sources.get(file["path"]):
            if not file["path"].startswith("/"):
                make_parents(base / "etc", file["path"], service_group(manifest))
            place = base / kept_path(file["path"])
            rights = (int(file["mode"], 8), file["owner"], file["group"])
            files.write_atomic(place, source.read_bytes(), *rights)
    for unit in manifest["units"]:
        if f"units/{unit['unit']}" in faults:
            place = base / "units" / unit["unit"]
            files.write_atomic(place, unit["text"].encode(), 0o644, "root", "root")
    for added, what in faults.items():
        if "added" in what:
            (base / added).unlink(missing_ok=True)


def keep_age(place: Path, running: Path) -> None:
    """Give a unit file the times of the running one if their contents are equal.

    Otherwise a manual restart warns that the unit file changed on disk.
    """
    with contextlib.suppress(OSError):
        if running.read_bytes() == place.read_bytes():
            found = running.stat()
            os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))


def build_folders(manifest: Mapping[str, Any], draft: Path) -> None:
    """Run the commands that fill a draft's folders; HostError names the failing command.

    A folder that an earlier generation built from the same inputs is hard-linked instead:
    generations are never written to.
    """
    for entry in manifest["build"]:
        folder = draft / entry["folder"]
        same = built_before(manifest["role"], entry)
        if same:
            shutil.copytree(same, folder, symlinks=True, copy_function=os.link)
            continue
        files.ensure_directory({"path": str(folder)})
        for words in entry["commands"]:
            command = [fill(word, draft / "etc", manifest["venv"]) for word in words]
            system.must(command, f"{manifest['role']}: making {entry['folder']}")
        # Commands do not flush their files: a power loss must not leave a complete manifest beside
        # an incomplete folder.
        os.sync()


def built_before(role: str, entry: Mapping[str, Any]) -> Path | None:
    """The folder that another generation of the role built from the same inputs, or None."""
    for path in (paths.service(role) / "generations").glob("*/manifest.json"):
        manifest = generations.load_manifest(role, path.parent.name) or {}
        for other in manifest.get("build", []):
            folder = path.parent / str(other["folder"])
            if other["key"] == entry["key"] and folder.is_dir():
                return folder
    return None


def fill(command: str, etc: Path, venv: Mapping[str, Any] | None) -> str:
    """A description's command with {etc}, {generation} and {venv} of the staged generation."""
    place = str(paths.VENVS / venv["name"]) if venv else ""
    for name, path in (("etc", etc), ("generation", etc.parent), ("venv", place)):
        command = command.replace(f"{{{name}}}", str(path))
    return command


def oslo_answers(venv: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Validate INI files with a virtualenv's oslo.config: path to complaints, empty if valid.

    `files` maps a path to its `namespaces`, and to the sections that are `like` other sections.
    """
    program = pkgutil.get_data(oslo_validator.__package__, "oslo_validator.py") or b""
    python = str(paths.VENVS / venv / "bin" / "python")
    output = system.must(
        [python, "-c", program.decode()], "validating configuration", stdin=json.dumps(files)
    )
    answers: dict[str, str] = json.loads(output)
    return answers


def remember_options(venv: str, namespaces: list[list[str]]) -> None:
    """Cache the options of a virtualenv's code in it; see oslo_validator.

    Fails silently on a host that only builds it and lacks Debian's modules; the host that uses it
    does this again.
    """
    for names in namespaces:
        with contextlib.suppress(errors.HostError):
            oslo_answers(venv, {os.devnull: {"namespaces": names, "like": {}}})


def validate(manifest: Mapping[str, Any], draft: Path) -> None:
    """Validate the new configuration with the new code; HostError with all complaints."""
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
            f"{Path(path).name}:\n{system.tail(complaint)}"
            for path, complaint in oslo_answers(venv["name"], files).items()
            if complaint
        ]
    for file in manifest["files"]:
        if Path(file["path"]).parent == paths.SUDOERS:
            # An error in one of these files would disable sudo.
            done = system.run(
                ["visudo", "--check", "--quiet", f"--file={draft / kept_path(file['path'])}"]
            )
            if done.returncode:
                complaints.append(f"{file['path']}:\n{system.tail(done.stdout + done.stderr)}")
    for words in manifest["validate"]:
        command = [
            fill(word, draft / "etc", venv).replace("{root}", str(draft / "root")) for word in words
        ]
        done = system.run(command)
        if done.returncode:
            complaints.append(f"{' '.join(command)}:\n{system.tail(done.stdout + done.stderr)}")
    if complaints:
        raise errors.HostError(
            f"{manifest['role']}: the new configuration is refused, nothing was changed\n"
            + "\n".join(complaints)
        )


def show_difference(
    manifest: Mapping[str, Any], old: Mapping[str, Any] | None = None
) -> list[dict[str, str]]:
    """The differences between a service's present files and a generation, secrets masked.

    Contents, modes and owners of files, units and drop-ins, and what only the generation in force
    (`old`) has. Each is in Ansible's form of a difference.
    """
    shown = []
    role = manifest["role"]
    for file in manifest["files"]:
        place = live_place(role, file["path"])
        secret = bool(file.get("secret"))
        shown += difference(place, shown_content(manifest, file, old, place), secret, file)
    for unit in manifest["units"]:
        name = unit["unit"]
        if unit["text"]:
            shown += difference(paths.UNITS / name, unit["text"], rights=transition.UNIT_RIGHTS)
        shown += difference(
            generations.dropin(name), unit["dropin"] or None, rights=transition.UNIT_RIGHTS
        )
    if old is None:
        return shown
    own = generations.read_own(role, old["id"], old)
    for name, faults in transition.own_faults(old, own).items():
        if "added" in faults:
            # Read in the generation: a service without files of its own has no link in /etc.
            place = paths.generation(role, old["id"]) / name
            by_link = paths.etc(role) / name.removeprefix("etc/")
            shown += difference(place, None, shown_as=by_link if old.get("etc", True) else place)
    if old["id"] == manifest["id"]:
        return shown
    kept = {file["path"] for file in manifest["files"]}
    for file in old["files"]:
        if file["path"] not in kept:
            shown += difference(live_place(role, file["path"]), None, bool(file.get("secret")))
    kept = {unit["unit"] for unit in manifest["units"]}
    for unit in old["units"]:
        if unit["unit"] not in kept:
            gone = (paths.UNITS / unit["unit"], generations.dropin(unit["unit"]))
            shown += [one for place in gone for one in difference(place, None)]
    return shown


def live_place(role: str, path: str) -> Path:
    """The path at which a file of a manifest is read on the host."""
    return Path(path) if path.startswith("/") else paths.etc(role) / path


def shown_content(
    manifest: Mapping[str, Any],
    file: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    place: Path,
) -> str:
    """The text that a file will have.

    For a file from a virtualenv that is not there yet: the present text if it comes from the same
    virtualenv, else a line that names the source.
    """
    if "content" in file:
        return str(file["content"])
    if "sha256" in file:
        whole = generations.restorable(manifest["role"], manifest["id"], file)
        return read_text(whole) if whole else "(unknown: the file was changed on the host)\n"
    try:
        return file_content(file, manifest["venv"]).decode(errors="replace")
    except errors.HostError:
        source = (manifest["venv"] or {}).get("name"), file["from_venv"]
        for present in (old or {"files": []})["files"]:
            other = ((old or {}).get("venv") or {}).get("name"), present.get("from_venv")
            if present["path"] == file["path"] and other == source:
                return read_text(place)
        return f"(from virtualenv {source[0]}: {source[1]})\n"


def read_text(path: Path) -> str:
    """A file's text; empty if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def present_text(place: Path) -> str | None:
    """The text of what is at a path, or what it is if that has no text; None if there is nothing.

    Links are not followed, except for units, which are links.
    """
    try:
        if place.is_symlink() and place.parent != paths.UNITS:
            return f"(a symbolic link to {place.readlink()})\n"
        if place.exists() and not place.is_file():
            return "(not a file)\n"
        return place.read_text(errors="replace")
    except OSError:
        return None


def difference(
    place: Path,
    after: str | None,
    secret: bool = False,
    rights: Mapping[str, Any] | None = None,
    shown_as: Path | None = None,
) -> list[dict[str, str]]:
    """The differences of a file's text, and of its mode and owner (`rights`).

    `after` is None if the file will not exist; `shown_as` is the path to show, if it is another.
    """
    shown = []
    before = present_text(place)
    if before != after:
        if not (before or after):
            texts = ("" if before is None else EMPTY, "" if after is None else EMPTY)
        elif secret:
            texts = ("(a secret)\n" if before else "", "(a secret, changed)\n" if after else "")
        else:
            texts = masking.mask_pair(before or "", after or "")
        shown.append(texts)
    found = generations.file_state(place, follow=place.parent == paths.UNITS)
    if rights and found and after is not None:
        wanted = f"mode {int(rights['mode'], 8):04o}, {rights['owner']}:{rights['group']}\n"
        present = f"mode {found.mode:04o}, {found.owner}:{found.group}\n"
        if present != wanted:
            shown.append((present, wanted))
    header = str(shown_as or place)
    return [
        {"before_header": header, "after_header": header, "before": old, "after": new}
        for old, new in shown
    ]


def prune(role: str, keep: int = 3) -> list[str]:
    """Remove generations that no link points at, except the newest; returns their names."""
    folder = paths.service(role) / "generations"
    needed = {
        generations.link_name(paths.current(role)),
        generations.link_name(paths.previous(role)),
    }
    entries = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    unreferenced = [p for p in entries if p.name not in needed]
    drafts = [p for p in unreferenced if p.name.startswith(".")]
    complete = [p for p in unreferenced if p not in drafts]
    doomed = drafts + complete[max(0, keep - len(needed)) :]
    for path in doomed:
        shutil.rmtree(path)
    return [path.name for path in doomed]


def migrate(role: str, ident: str, phase: str, progress: list[dict[str, Any]]) -> None:
    """Run a service's schema steps of one phase with the staged code and configuration.

    Appends {step, seconds} to `progress` after each step. HostError names the failing step.
    """
    manifest = generations.load_manifest(role, ident)
    if manifest is None:
        raise errors.HostError(f"{role}: generation {ident} is not staged on this host")
    etc = paths.generation(role, ident) / "etc"
    venv = manifest["venv"]
    path = f"{paths.VENVS / venv['name']}/bin:{system.SYSTEM_PATH}" if venv else system.SYSTEM_PATH
    for step in manifest["migrations"]:
        if step["phase"] != phase:
            continue
        started = time.monotonic()
        words = [fill(word, etc, venv) for word in step["command"].split()]
        environment = {k: fill(v, etc, venv) for k, v in step.get("environment", {}).items()}
        done = system.run(
            words,
            user=step.get("user", manifest["user"].get("name")),
            environment={"PATH": path, **environment},
        )
        if done.returncode not in step.get("success", [0]):
            raise errors.HostError(
                f"{role}: schema step {step['name']} failed (exit {done.returncode}): "
                f"{' '.join(words)}\n{system.tail(done.stdout + done.stderr)}"
            )
        seconds = round(time.monotonic() - started, 1)
        progress.append({"step": step["name"], "seconds": seconds})
