"""What a managed host says about its generations, read in one go by `cairn_probe`.

Runs on hosts with nothing but Python's standard library. It costs a few file reads, one hash per
managed file and two lists of systemd's.
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

# What ansible's apt writes while packages are installed, so that no daemon starts.
POLICY, POLICY_TEXT = Path("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n"

INSTALLED = re.compile(r"^Package: (\S+)\n(?:[^\n]+\n)*?Status: \S+ ok installed$", re.M)


def sha256_file(path: Path) -> str | None:
    """The file's SHA-256 in hex, or None where there is no such readable file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def link_name(path: Path) -> str | None:
    """The last part of what a symlink points at, or None when it is no symlink."""
    try:
        return path.readlink().name
    except OSError:
        return None


def load_manifest(role: str, ident: str) -> dict[str, Any] | None:
    """The manifest of a staged generation; None when it is missing or damaged."""
    try:
        loaded = json.loads((paths.generation(role, ident) / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def load_running(role: str) -> dict[str, str]:
    """Unit name to the fingerprint it was last started with; empty when never started."""
    try:
        loaded = json.loads(paths.running(role).read_text())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def unit_states(units: list[str]) -> dict[str, dict[str, str]]:
    """ActiveState, SubState and UnitFileState of each unit.

    `systemctl show` would make systemd add up what each unit uses of processor, memory and disks
    before it answers, seconds for a controller; lists cost a tenth. A unit that systemd has not
    loaded is in no list, so `show` is asked for it.
    """
    if not units:
        return {}
    active = {words[0]: words[2:4] for words in _listed(units)}
    enabled = _systemctl("is-enabled", *units)
    if len(enabled) != len(units):  # one of them made systemctl stop or say more
        enabled = ["".join(_systemctl("is-enabled", unit)[:1]) for unit in units]
    states = {}
    for unit, file_state in zip(units, enabled, strict=True):
        state, sub = active.get(unit) or (_asked(unit), "")
        states[unit] = {"ActiveState": state, "SubState": sub, "UnitFileState": file_state}
    return states


def loaded_units(units: list[str]) -> set[str]:
    """Those of the units that systemd keeps in memory, with the text that it read then.

    Of any other it reads the text when it is asked to start it, also where it looked for it before
    in vain (since systemd 246); `daemon-reload`, which reads all units of the host, is not due.
    """
    if not units:
        return set()
    return {words[0] for words in _listed(units) if words[1] != "not-found"}


def _listed(units: list[str]) -> list[list[str]]:
    """Of each unit that systemd has in memory: its name, LoadState, ActiveState and SubState."""
    lines = _systemctl("list-units", "--all", "--full", "--plain", "--no-legend", *units)
    return [words for words in map(str.split, lines) if len(words) > 3]


def _asked(unit: str) -> str:
    """ActiveState of one unit, by whichever of its names."""
    return "".join(_systemctl("show", "--property=ActiveState", "--value", unit)[:1])


def _systemctl(*words: str) -> list[str]:
    """Lines that systemctl prints; its exit code only repeats some of them."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@functools.cache
def user_name(number: int) -> str:
    """The name of a user, or its number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@functools.cache
def group_name(number: int) -> str:
    """The name of a group, or its number where it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def file_state(path: Path, *, follow: bool = False) -> FileState | None:
    """A file's hash, mode and owner; None where there is no plain file that can be read.

    A link in its place counts as nothing, but for units, which are links (`follow`).
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
    """What a symlink points at; an empty string for anything else, None where there is nothing."""
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
    """The link by which a unit of Cairn's starts at boot; None for a unit without."""
    target = transition.wants_target(unit)
    return paths.UNITS / f"{target}.wants" / unit["unit"] if target else None


def places(role: str) -> transition.Places:
    """Where links of a service lead."""
    base = paths.current(role)
    return transition.Places(f"{base}/etc", f"{base}/units", str(paths.UNITS))


def read_own(role: str, ident: str, manifest: Mapping[str, Any]) -> dict[str, FileState | None]:
    """Files of a staged generation by their place in it, those that do not belong there included.

    What Python and editors leave behind counts as little as folders do.
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
    """What the host shows of a service whose generation in force is `old` and is to be `new`.

    `states` are unit_states of the new one's units. Nothing needs to be there yet.
    """
    known = (old, new) if old is not None else (new,)
    outside = {f["path"] for one in known for f in one["files"] if f["path"].startswith("/")}
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
    """Where a file of a staged generation may be read: in use, and kept aside for restoring it."""
    base = paths.generation(role, ident)
    path = file["path"]
    kept = base / transition.kept_path(path)
    return [kept, Path(path)] if path.startswith("/") else [kept, base / "origin" / path]


def restorable(role: str, ident: str, file: Mapping[str, Any]) -> Path | None:
    """A place that has a file of a staged generation unharmed; None where no place has it."""
    digest = transition.file_digest(file)
    return next((p for p in originals(role, ident, file) if sha256_file(p) == digest), None)


def beyond_repair(role: str, manifest: Mapping[str, Any]) -> list[str]:
    """Paths of a staged generation's files of which the host has no unharmed copy."""
    ident = manifest["id"]
    return [f["path"] for f in manifest["files"] if restorable(role, ident, f) is None]


def role_drift(
    role: str,
    manifest: Mapping[str, Any],
    installed: Collection[str],
    states: Mapping[str, Mapping[str, str]],
) -> list[dict[str, str]]:
    """What the host lacks of the generation in force: {kind, what, text}.

    What a switch to this very generation would mend, and what has to be staged before (kinds
    `generation`, `venv` and `package`).
    """
    seen = look(role, manifest, manifest, states)
    made = transition.decide(manifest, manifest, seen, places(role))
    found = transition.drift(manifest, seen, made)
    if made.own or made.files:
        found += [
            cause("generation", path, f"{path} cannot be restored from what the host has")
            for path in beyond_repair(role, manifest)
        ]
    found += [
        cause("package", package, f"package {package} is not installed")
        for package in manifest["packages"]
        if package not in installed
    ]
    venv = manifest.get("venv")
    if venv and not (paths.VENVS / venv["name"] / paths.VENV_COMPLETE).exists():
        found.append(cause("venv", venv["name"], f"virtualenv {venv['name']} is missing"))
    return found


def cause(kind: str, what: str, text: str) -> dict[str, str]:
    """One reason why a service is not as it should be."""
    return {"kind": kind, "what": what, "text": text}


def read_state() -> dict[str, Any]:
    """Everything the controller needs to decide what is stale on this host.

    Returns `services` (see read_services), `records`, `venvs` (complete ones), `uv` (versions
    present), `packages` (installed ones), `dpkg_unfinished` (an interrupted package run must be
    mended first) and `policy_left` (it has left behind what keeps daemons from starting)
    and `lease` (see read_lease).
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
    """Services of which the host has a generation, by their present names."""
    if not paths.SERVICES.is_dir():
        return []
    present = {former: role for role, former in paths.FORMER.items()}
    folders = (p.name for p in paths.SERVICES.iterdir() if not p.is_symlink())
    return sorted({present.get(name, name) for name in folders})


def read_change(roles: Collection[str]) -> dict[str, Any]:
    """What is other after a change of some roles: `services` of these alone, and `venvs`."""
    packages, _unfinished = dpkg_state()
    return {"services": read_services(sorted(roles), packages), "venvs": read_venvs()}


def read_venvs() -> list[str]:
    """Names of the complete virtualenvs."""
    return sorted(p.parent.name for p in paths.VENVS.glob(f"*/{paths.VENV_COMPLETE}"))


def is_rolled_back(role: str) -> bool:
    """Whether the generation in force came by a rollback, so that the previous one is the newer."""
    try:
        led = paths.rolled_back(role).read_text().split()
    except OSError:
        return False
    return led == [link_name(paths.current(role)), link_name(paths.previous(role))]


def read_services(roles: Collection[str], packages: Collection[str]) -> dict[str, Any]:
    """What the host has of each role: current, previous and staged generations, drift.

    `running` has the fingerprint of each unit, `drift` what is not as the generation in force says
    ({kind, what, text}), `release` and `previous_release` the OpenStack releases of both
    generations, `venv` the name of the current one's virtualenv, `rolled_back` whether the last
    change was a rollback; `packages` are those installed.
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
    """Whether daemons are kept from starting, though no package run is under way."""
    try:
        return path.read_text() == POLICY_TEXT
    except OSError:
        return False


def dpkg_state(root: Path = Path("/var/lib/dpkg")) -> tuple[list[str], bool]:
    """Installed Debian packages, and whether a package run was cut off (by a power loss).

    After a cut-off run `dpkg --configure -a` is due before anything can be installed.
    """
    try:
        status = (root / "status").read_text(errors="replace")
    except OSError:
        return [], False
    updates = root / "updates"
    journal = updates.is_dir() and any(p.name.isdigit() for p in updates.iterdir())
    return INSTALLED.findall(status), journal or bool(UNFINISHED.search(status))
