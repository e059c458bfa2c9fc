"""A folder that stands for a host, with a systemd that only remembers its commands."""

from __future__ import annotations

import getpass
import grp
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cairn_host import paths, system
from cairn_host.probe import generations
from cairn_host.service import health

ME = getpass.getuser()
MINE = grp.getgrgid(os.getgid()).gr_name
UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


class Systemd:
    """A stand-in for systemctl: units start, unless they are in `broken`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[list[str]] = []
        self.active: set[str] = set()
        self.broken: set[str] = set()
        self.loaded: set[str] = set()  # has read them, and reads them again only on daemon-reload
        self.enabled: dict[str, str] = {}

    def run(self, command: list[str], **_how: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        code = 0
        if command[0] == "systemctl":
            names = {word for word in command[2:] if not word.startswith("-")}
            if command[1] == "stop" or "--now" in command:
                self.active -= names
            elif command[1] in ("enable", "disable"):
                self.enabled |= dict.fromkeys(names, f"{command[1]}d")
            elif command[1] in ("restart", "reload"):
                self.active |= names - self.broken
                self.loaded |= names
                code = 1 if names & self.broken else 0
        return subprocess.CompletedProcess(command, code, "", "a line of the journal")

    def states(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        return {
            name: {
                "ActiveState": "active" if name in self.active else "inactive",
                "UnitFileState": self.enabled.get(name, ""),
            }
            for name in names
        }

    def restarted(self) -> list[str]:
        """Units that were restarted since this was last asked."""
        return self.units_of("restart")

    def units_of(self, verb: str) -> list[str]:
        """Units of this command since any command was last asked for."""
        found = [c[2:] for c in self.calls if c[:2] == ["systemctl", verb]]
        self.calls.clear()
        return [name for names in found for name in names]


def install(root: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Let Cairn find its places below `root`, and this systemd."""
    for name in ("STATE", "SERVICES", "RECORDS", "VENVS", "UNITS"):
        monkeypatch.setattr(paths, name, root / name.lower())
    monkeypatch.setattr(paths, "SERVICES", root / "state" / "services")
    monkeypatch.setattr(paths, "etc", lambda role: root / "etc" / role)
    (root / "etc").mkdir()
    (root / "units").mkdir()
    systemd = Systemd(root)
    monkeypatch.setattr(system, "run", systemd.run)
    monkeypatch.setattr(generations, "unit_states", systemd.states)
    monkeypatch.setattr(generations, "loaded_units", lambda names: systemd.loaded & set(names))
    monkeypatch.setattr(health, "wait", lambda _unit, _check: None)
    # This machine's own packages are none of the host's.
    read = generations.dpkg_state
    monkeypatch.setattr(generations, "dpkg_state", lambda where=root / "dpkg": read(where))
    return systemd


def unshown(planned: Mapping[str, Any], shown: Iterable[Mapping[str, str]]) -> list[str]:
    """What a plan of `svc` mends, and `--diff` does not show."""
    headers = {one["before_header"] for one in shown if one["before"] != one["after"]}

    def place(what: str) -> Path:
        if what.startswith("drop-in of "):
            return generations.dropin(what.removeprefix("drop-in of "))
        if what.startswith(("unit ", "units/")):
            return paths.UNITS / what[5:].lstrip("/")
        if what.startswith("/etc/svc/"):
            return paths.etc("svc") / what.removeprefix("/etc/svc/")
        return Path(what) if what.startswith("/") else paths.current("svc").resolve() / what

    return [what for what in planned["mended"] if str(place(what)) not in headers]


def described_unit(name: str, fingerprint: str, **changes: Any) -> dict[str, Any]:
    """A unit of a manifest; keywords change what it is by default."""
    return {
        "name": name.partition(".")[0],
        "unit": name,
        "text": UNIT,
        "dropin": None,
        "enabled": True,
        "state": "started",
        "on_change": "restart",
        "config_files": None,
        "fingerprint": fingerprint,
        "health": {},
        **changes,
    }


def described_file(path: str, content: str, mode: str = "0640") -> dict[str, Any]:
    """A file of a manifest."""
    return {"path": path, "content": content, "mode": mode, "owner": ME, "group": MINE}


def manifest(
    host: Systemd,
    ident: str,
    text: str = "one\n",
    *,
    unit: str = "run.service",
    fingerprint: str | None = None,
    packages: Iterable[str] = (),
    unit_text: str = UNIT,
    dropin: str | None = None,
    state: str = "started",
    on_change: str = "restart",
    mode: str = "0644",
) -> dict[str, Any]:
    """The manifest of a service `svc`: a file of its own, one outside, and a unit."""
    changes = {"text": unit_text, "dropin": dropin, "state": state, "on_change": on_change}
    return {
        "id": ident,
        "role": "svc",
        "release": "2026.1",
        "user": {},
        "packages": list(packages),
        "venv": None,
        "etc": True,
        "files": [
            described_file("svc.conf", text),
            described_file(str(host.root / "outside" / "svc.d"), text, mode),
        ],
        "units": [described_unit(unit, fingerprint or ident, **changes)],
        "build": [],
        "validate": [],
        "migrations": [],
    }
