"""Generations: written beside what runs, judged by their own code, shown and cleared away.

Standard library only, on the managed host.
"""

from __future__ import annotations

import contextlib
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

from . import hoststate, hostwork, masking, oslo_validate, paths


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
            raise hostwork.HostError(
                f"{source} is not in the virtualenv: {error.strerror}"
            ) from None
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
    hostwork.ensure_directory({"path": str(draft / "etc"), "group": group, "mode": "0750"})
    hostwork.ensure_directory({"path": str(draft / "root"), "mode": "0700"})
    hostwork.ensure_directory({"path": str(draft / "units"), "mode": "0755"})
    kept = []
    for file in manifest["files"]:
        content = file_content(file, manifest["venv"])
        place = draft / kept_path(file["path"])
        if not file["path"].startswith("/"):
            for parent in reversed(place.relative_to(draft / "etc").parents[:-1]):
                hostwork.ensure_directory(
                    {"path": str(draft / "etc" / parent), "group": group, "mode": "0750"}
                )
        hostwork.write_atomic(place, content, int(file["mode"], 8), file["owner"], file["group"])
        digest = hashlib.sha256(content).hexdigest()
        entry = {k: v for k, v in file.items() if k != "content"}
        kept.append({**entry, "kept": kept_path(file["path"]), "sha256": digest})
    for unit in manifest["units"]:
        if unit["text"]:
            place = draft / "units" / unit["unit"]
            hostwork.write_atomic(place, unit["text"].encode(), 0o644, "root", "root")
            keep_age(place, paths.current(role) / "units" / unit["unit"])
    if manifest["venv"]:
        (draft / "venv").symlink_to(paths.VENVS / manifest["venv"]["name"])
    build_folders(manifest, draft)
    validate(manifest, draft)
    whole = json.dumps({**manifest, "files": kept}, indent=1).encode()
    hostwork.write_atomic(draft / "manifest.json", whole, 0o644, "root", "root")
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
        hostwork.ensure_directory({"path": str(folder)})
        for words in entry["commands"]:
            command = [fill(word, draft / "etc", manifest["venv"]) for word in words]
            hostwork.must(command, f"{manifest['role']}: making {entry['folder']}")
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
    said = hostwork.must(
        [python, "-c", program.decode()], "validating configuration", stdin=json.dumps(files)
    )
    answers: dict[str, str] = json.loads(said)
    return answers


def remember_options(venv: str, namespaces: list[list[str]]) -> None:
    """Let a virtualenv keep what options its code has; see oslo_validate.

    Where it is only built and lacks modules of Debian's, it is asked for where it is used.
    """
    for names in namespaces:
        with contextlib.suppress(hostwork.HostError):
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
            f"{Path(path).name}:\n{hostwork.tail(said)}"
            for path, said in oslo_answers(venv["name"], files).items()
            if said
        ]
    for file in manifest["files"]:
        if Path(file["path"]).parent == paths.SUDOERS:
            # A mistake in one of these files would lock everybody out of sudo.
            done = hostwork.run(
                ["visudo", "--check", "--quiet", f"--file={draft / kept_path(file['path'])}"]
            )
            if done.returncode:
                complaints.append(f"{file['path']}:\n{hostwork.tail(done.stdout + done.stderr)}")
    for words in manifest["validate"]:
        command = [
            fill(word, draft / "etc", venv).replace("{root}", str(draft / "root")) for word in words
        ]
        done = hostwork.run(command)
        if done.returncode:
            complaints.append(f"{' '.join(command)}:\n{hostwork.tail(done.stdout + done.stderr)}")
    if complaints:
        raise hostwork.HostError(
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


def migrate(role: str, ident: str, phase: str, progress: list[dict[str, Any]]) -> None:
    """Run a service's schema steps of one phase with the staged code and configuration.

    Appends {step, seconds} to `progress` as it goes. HostError names the step that failed.
    """
    manifest = hoststate.load_manifest(role, ident)
    if manifest is None:
        raise hostwork.HostError(f"{role}: generation {ident} is not staged on this host")
    etc = paths.generation(role, ident) / "etc"
    venv = manifest["venv"]
    path = (
        f"{paths.VENVS / venv['name']}/bin:{hostwork.SYSTEM_PATH}" if venv else hostwork.SYSTEM_PATH
    )
    for step in manifest["migrations"]:
        if step["phase"] != phase:
            continue
        started = time.monotonic()
        words = [fill(word, etc, venv) for word in step["command"].split()]
        environment = {k: fill(v, etc, venv) for k, v in step.get("environment", {}).items()}
        done = hostwork.run(
            words,
            user=step.get("user", manifest["user"].get("name")),
            environment={"PATH": path, **environment},
        )
        if done.returncode not in step.get("success", [0]):
            raise hostwork.HostError(
                f"{role}: schema step {step['name']} failed (exit {done.returncode}): "
                f"{' '.join(words)}\n{hostwork.tail(done.stdout + done.stderr)}"
            )
        seconds = round(time.monotonic() - started, 1)
        progress.append({"step": step["name"], "seconds": seconds})
