"""The generations, records, packages and drift of a managed host, read at once by `cairn_probe`.

Runs on hosts with the standard library only. It costs a few file reads, one hash per managed file
and two calls of systemctl.
"""

from __future__ import annotations

import functools
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .. import paths, records
from ..service import transition
from ..service.transition import FileState, Seen

UNFINISHED = re.compile(
    r"^Status: \S+ \S+ (?:half-installed|unpacked|half-configured|triggers-awaited)", re.M
)

# Ansible's apt module writes this while it installs packages, so that no daemon starts.
POLICY, POLICY_TEXT = Path("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n"

INSTALLED = re.compile(r"^Package: (\S+)\n(?:[^\n]+\n)*?Status: \S+ ok installed$", re.M)


def sha256_file(path: Path) -> str | None:
    """The file's SHA-256 in hex; None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def link_name(path: Path) -> str | None:
    """The last component of a symlink's target; None if it is no symlink."""
    try:
        return path.readlink().name
    except OSError:
        return None


def load_manifest(role: str, ident: str) -> dict[str, Any] | None:
    """The manifest of a staged generation; None if it is missing or damaged."""
    try:
        loaded = json.loads((paths.generation(role, ident) / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def load_running(role: str) -> dict[str, str]:
    """Unit name to the fingerprint with which it was last started."""
    try:
        loaded = json.loads(paths.running(role).read_text())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def unit_states(units: list[str]) -> dict[str, dict[str, str]]:
    """ActiveState, SubState and UnitFileState of each unit.

    `systemctl show` would make systemd compute each unit's processor, memory and disk usage, which
    takes seconds on a controller; lists cost a tenth. A unit that systemd has not loaded is in no
    list and is queried by `show`.
    """
    if not units:
        return {}
    active = {words[0]: words[2:4] for words in _listed(units)}
    enabled = _systemctl("is-enabled", *units)
    if len(enabled) != len(units):  # systemctl stopped at a unit or printed more lines
        enabled = ["".join(_systemctl("is-enabled", unit)[:1]) for unit in units]
    states = {}
    for unit, file_state in zip(units, enabled, strict=True):
        state, sub = active.get(unit) or (_asked(unit), "")
        states[unit] = {"ActiveState": state, "SubState": sub, "UnitFileState": file_state}
    return states


def loaded_units(units: list[str]) -> set[str]:
    """The units that systemd has loaded, with the text of that time.

    systemd reads the text of other units when it starts them, even if it did not find them before
    (since systemd 246); these need no `daemon-reload`, which reads all units of the host.
    """
    if not units:
        return set()
    return {words[0] for words in _listed(units) if words[1] != "not-found"}


def _listed(units: list[str]) -> list[list[str]]:
    """Name, LoadState, ActiveState and SubState of each loaded unit."""
    lines = _systemctl("list-units", "--all", "--full", "--plain", "--no-legend", *units)
    return [words for words in map(str.split, lines) if len(words) > 3]


def _asked(unit: str) -> str:
    """ActiveState of one unit, which may be named by an alias."""
    return "".join(_systemctl("show", "--property=ActiveState", "--value", unit)[:1])


def _systemctl(*words: str) -> list[str]:
    """The output lines of systemctl; its exit code adds no information."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@functools.cache
def user_name(number: int) -> str:
    """The name of a user, or its number if it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@functools.cache
def group_name(number: int) -> str:
    """The name of a group, or its number if it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def file_state(path: Path, *, follow: bool = False) -> FileState | None:
    """A file's hash, mode and owner; None if it is no readable regular file.

    Links are not followed, except for units, which are links (`follow`).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        with open(os.open(path, flags), "rb") as handle:  # noqa: PTH123 - of a descriptor
            found = os.fstat(handle.fileno())
            if not stat.S_ISREG(found.st_mode):
                return None
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    return FileState(digest, mode, user_name(found.st_uid), group_name(found.st_gid))


def link_target(path: Path) -> str | None:
    """A symlink's target; empty for anything else, None if there is nothing."""
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return None
    except OSError:
        return ""


def dropin(unit: str) -> Path:
    """The path of Cairn's drop-in of a unit."""
    return paths.UNITS / f"{unit}.d" / "90-cairn.conf"


def wants(unit: Mapping[str, Any]) -> Path | None:
    """The link that starts a generated unit at boot; None if it has none."""
    target = transition.wants_target(unit)
    return paths.UNITS / f"{target}.wants" / unit["unit"] if target else None


def places(role: str) -> transition.Places:
    """The targets of a service's links."""
    base = paths.current(role)
    return transition.Places(f"{base}/etc", f"{base}/units", str(paths.UNITS))


def read_own(role: str, ident: str, manifest: Mapping[str, Any]) -> dict[str, FileState | None]:
    """Files of a staged generation by path, including files that do not belong there.

    Folders and Python's caches do not count.
    """
    base = paths.generation(role, ident)
    named = [transition.kept_path(file["path"]) for file in manifest["files"]]
    named += [f"units/{unit['unit']}" for unit in manifest["units"] if unit["text"]]
    for folder, inner, files in os.walk(base / "etc"):
        inner[:] = [name for name in inner if name != "__pycache__"]
        named += [str((Path(folder) / name).relative_to(base)) for name in files]
    return {place: file_state(base / place) for place in dict.fromkeys(named)}


def look(
    role: str,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    states: Mapping[str, Mapping[str, str]],
) -> Seen:
    """The observed state of a service, for a switch from the generation `old` to `new`.

    `states` are unit_states of the new generation's units. Nothing needs to exist yet.
    """
    manifests = (old, new) if old is not None else (new,)
    outside = {f["path"] for one in manifests for f in one["files"] if f["path"].startswith("/")}
    names = [unit["unit"] for unit in new["units"]]
    links = {unit["unit"]: wants(unit) for unit in new["units"]}
    return Seen(
        running=load_running(role) if old is not None else {},
        states=states,
        files={path: file_state(Path(path)) for path in outside},
        own=read_own(role, old["id"], old) if old is not None else {},
        etc=link_target(paths.etc(role)) if new["etc"] else None,
        unit_files={name: file_state(paths.UNITS / name, follow=True) for name in names},
        unit_links={name: link_target(paths.UNITS / name) for name in names},
        dropins={name: file_state(dropin(name)) for name in names},
        wants={name: link_target(link) for name, link in links.items() if link},
    )


def originals(role: str, ident: str, file: Mapping[str, Any]) -> list[Path]:
    """The paths of a staged generation's file: the one in use, and the copy for a restore."""
    base = paths.generation(role, ident)
    path = file["path"]
    kept = base / transition.kept_path(path)
    return [kept, Path(path)] if path.startswith("/") else [kept, base / "origin" / path]


def restorable(role: str, ident: str, file: Mapping[str, Any]) -> Path | None:
    """A path with an intact copy of a staged generation's file; None if there is none."""
    digest = transition.file_digest(file)
    return next((p for p in originals(role, ident, file) if sha256_file(p) == digest), None)


def beyond_repair(role: str, manifest: Mapping[str, Any]) -> list[str]:
    """Paths of a staged generation's files without an intact copy on the host."""
    ident = manifest["id"]
    return [f["path"] for f in manifest["files"] if restorable(role, ident, f) is None]


def role_drift(
    role: str,
    manifest: Mapping[str, Any],
    installed: Collection[str],
    states: Mapping[str, Mapping[str, str]],
) -> list[dict[str, str]]:
    """How the host differs from the generation in force: a list of {kind, what, text}.

    Differences that a switch to this generation would repair, and those that need staging (kinds
    `generation`, `venv` and `package`).
    """
    seen = look(role, manifest, manifest, states)
    made = transition.decide(manifest, manifest, seen, places(role))
    differences = transition.drift(manifest, seen, made)
    if made.own or made.files:
        differences += [
            cause("generation", path, f"{path} has no intact copy on the host")
            for path in beyond_repair(role, manifest)
        ]
    differences += [
        cause("package", package, f"package {package} is not installed")
        for package in manifest["packages"]
        if package not in installed
    ]
    venv = manifest.get("venv")
    if venv and not (paths.VENVS / venv["name"] / paths.VENV_COMPLETE).exists():
        differences.append(cause("venv", venv["name"], f"virtualenv {venv['name']} is missing"))
    return differences


def cause(kind: str, what: str, text: str) -> dict[str, str]:
    """One reason why a service is stale."""
    return {"kind": kind, "what": what, "text": text}


def read_state() -> dict[str, Any]:
    """The state from which the control node decides what is stale on this host.

    Returns `services` (see read_services), `records`, `venvs` (complete ones), `uv` (installed
    versions), `packages` (installed ones), `dpkg_unfinished` (a package run was interrupted and
    must be finished first), `policy_left` (it has left a policy-rc.d that prevents daemons from
    starting) and `lease` (see read_lease).
    """
    packages, unfinished = dpkg_state()
    return {
        "services": read_services(deployed_roles(), packages),
        "records": records.read_records(),
        "venvs": read_venvs(),
        "uv": sorted(p.parent.name for p in paths.UV.glob("*/uv")),
        "packages": packages,
        "dpkg_unfinished": unfinished,
        "policy_left": policy_left(),
        "lease": records.read_lease(),
    }


def deployed_roles() -> list[str]:
    """Services with a generation on the host, by their present names."""
    if not paths.SERVICES.is_dir():
        return []
    present = {former: role for role, former in paths.FORMER.items()}
    folders = (p.name for p in paths.SERVICES.iterdir() if not p.is_symlink())
    return sorted({present.get(name, name) for name in folders})


def read_change(roles: Collection[str]) -> dict[str, Any]:
    """The state that a change of some roles affects: their `services`, and `venvs`."""
    packages, _unfinished = dpkg_state()
    return {"services": read_services(sorted(roles), packages), "venvs": read_venvs()}


def read_venvs() -> list[str]:
    """Names of the complete virtualenvs."""
    return sorted(p.parent.name for p in paths.VENVS.glob(f"*/{paths.VENV_COMPLETE}"))


def is_rolled_back(role: str) -> bool:
    """Whether a rollback led to the generation in force, so that `previous` is the newer one."""
    try:
        note = paths.rolled_back(role).read_text().split()
    except OSError:
        return False
    return note == [link_name(paths.current(role)), link_name(paths.previous(role))]


def read_services(roles: Collection[str], packages: Collection[str]) -> dict[str, Any]:
    """The state of each role: current, previous and staged generations, and drift.

    `running` has the fingerprint of each unit, `drift` the differences from the generation in force
    ({kind, what, text}), `release` and `previous_release` the OpenStack releases of both
    generations, `venv` the name of the current virtualenv, `rolled_back` whether the last change
    was a rollback. `packages` are the installed ones.
    """
    services: dict[str, Any] = {}
    manifests: dict[str, dict[str, Any]] = {}
    for role in roles:
        base = paths.service(role)
        generations = base / "generations"
        ident = link_name(paths.current(role))
        manifest = load_manifest(role, ident) if ident else None
        staged = generations.iterdir() if generations.is_dir() else []
        before = link_name(paths.previous(role))
        services[role] = {
            "current": ident if manifest else None,
            "venv": ((manifest or {}).get("venv") or {}).get("name"),
            "previous": before,
            "rolled_back": is_rolled_back(role),
            "release": (manifest or {}).get("release"),
            "previous_release": (load_manifest(role, before) or {}).get("release")
            if before
            else None,
            "staged": sorted(p.name for p in staged if load_manifest(role, p.name)),
            "running": load_running(role),
            "drift": [],
        }
        if manifest:
            manifests[role] = manifest
        elif ident:
            text = f"generation {ident} is missing or damaged"
            services[role]["drift"].append(cause("generation", ident, text))
    states = unit_states([u["unit"] for m in manifests.values() for u in m["units"]])
    for role, manifest in manifests.items():
        services[role]["drift"] = role_drift(role, manifest, packages, states)
    return services


def policy_left(path: Path = paths.POLICY) -> bool:
    """Whether an interrupted package run has left its policy-rc.d."""
    try:
        return path.read_text() == POLICY_TEXT
    except OSError:
        return False


def dpkg_state(root: Path = Path("/var/lib/dpkg")) -> tuple[list[str], bool]:
    """Installed Debian packages, and whether a package run was interrupted (by a power loss).

    After an interrupted run `dpkg --configure -a` is needed before anything can be installed.
    """
    try:
        status = (root / "status").read_text(errors="replace")
    except OSError:
        return [], False
    updates = root / "updates"
    journal = updates.is_dir() and any(p.name.isdigit() for p in updates.iterdir())
    return INSTALLED.findall(status), journal or bool(UNFINISHED.search(status))
