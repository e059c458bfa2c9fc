"""What a managed host says about its generations, read in one go by `cairn_probe`.

Runs on hosts with nothing but Python's standard library. It costs a few file reads, one hash per
managed file and two lists of systemd's.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from . import paths

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


def file_drift(role: str, manifest: dict[str, Any], installed: Collection[str]) -> list[str]:
    """Sentences on files and packages that are not what the generation says."""
    drift = []
    base = paths.current(role)
    for file in manifest["files"]:
        kept = base / file["kept"]
        if sha256_file(kept) != file["sha256"]:
            drift.append(f"{file['kept']} in the generation is damaged")
        if file["path"].startswith("/") and sha256_file(Path(file["path"])) != file["sha256"]:
            drift.append(f"{file['path']} was changed on the host")
    if manifest["etc"]:
        link = paths.etc(role)
        if not link.is_symlink() or link.readlink() != base / "etc":
            drift.append(f"{link} does not lead to the current generation")
    drift += [
        f"package {package} is not installed"
        for package in manifest["packages"]
        if package not in installed
    ]
    venv = manifest.get("venv")
    if venv and not (paths.VENVS / venv["name"] / paths.VENV_COMPLETE).exists():
        drift.append(f"virtualenv {venv['name']} is missing")
    return drift


def unit_drift(
    manifest: dict[str, Any], running: dict[str, str], states: dict[str, dict[str, str]]
) -> list[str]:
    """Sentences on units that do not run, or run with older inputs than the generation's."""
    drift = []
    for unit in manifest["units"]:
        state = states.get(unit["unit"], {})
        active = state.get("ActiveState", "unknown")
        if unit["state"] == "started" and active not in ("active", "reloading"):
            drift.append(f"{unit['unit']} is {active}")
        elif unit["state"] == "stopped" and active in ("active", "activating"):
            drift.append(f"{unit['unit']} runs but should not")
        elif unit["on_change"] != "none" and running.get(unit["unit"]) != unit["fingerprint"]:
            drift.append(f"{unit['unit']} runs with older inputs")
        if unit["enabled"] and state.get("UnitFileState") in ("disabled", "masked", "linked"):
            drift.append(f"{unit['unit']} would not start at boot")
    return drift


def read_records() -> dict[str, str]:
    """Small facts that roles keep on the host, by name."""
    if not paths.RECORDS.is_dir():
        return {}
    return {p.name: p.read_text() for p in paths.RECORDS.iterdir() if p.is_file()}


def read_state() -> dict[str, Any]:
    """Everything the controller needs to decide what is stale on this host.

    Returns `services` (see read_services), `records`, `venvs` (complete ones), `uv` (versions
    present), `packages` (installed ones), `dpkg_unfinished` (an interrupted package run must be
    mended first) and `policy_left` (it has left behind what keeps daemons from starting).
    """
    roles = sorted(p.name for p in paths.SERVICES.iterdir()) if paths.SERVICES.is_dir() else []
    packages, unfinished = dpkg_state()
    return {
        "services": read_services(roles, packages),
        "records": read_records(),
        "venvs": read_venvs(),
        "uv": sorted(p.parent.name for p in paths.UV.glob("*/uv")),
        "packages": packages,
        "dpkg_unfinished": unfinished,
        "policy_left": policy_left(),
    }


def read_change(roles: Collection[str]) -> dict[str, Any]:
    """What is other after a change of some roles: `services` of these alone, and `venvs`."""
    packages, _unfinished = dpkg_state()
    return {"services": read_services(sorted(roles), packages), "venvs": read_venvs()}


def read_venvs() -> list[str]:
    """Names of the complete virtualenvs."""
    return sorted(p.parent.name for p in paths.VENVS.glob(f"*/{paths.VENV_COMPLETE}"))


def read_services(roles: Collection[str], packages: Collection[str]) -> dict[str, Any]:
    """What the host has of each role: current, previous and staged generations, drift.

    `running` has the fingerprint of each unit, `drift` sentences; `packages` are those installed.
    """
    services: dict[str, Any] = {}
    manifests: dict[str, dict[str, Any]] = {}
    for role in roles:
        base = paths.service(role)
        generations = base / "generations"
        ident = link_name(paths.current(role))
        manifest = load_manifest(role, ident) if ident else None
        staged = generations.iterdir() if generations.is_dir() else []
        services[role] = {
            "current": ident if manifest else None,
            "previous": link_name(paths.previous(role)),
            "staged": sorted(p.name for p in staged if load_manifest(role, p.name)),
            "running": load_running(role),
            "drift": [],
        }
        if manifest:
            manifests[role] = manifest
        elif ident:
            services[role]["drift"].append(f"generation {ident} is missing or damaged")
    states = unit_states([u["unit"] for m in manifests.values() for u in m["units"]])
    for role, manifest in manifests.items():
        services[role]["drift"] += file_drift(role, manifest, packages)
        services[role]["drift"] += unit_drift(manifest, services[role]["running"], states)
    return services


def policy_left(path: Path = POLICY) -> bool:
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
