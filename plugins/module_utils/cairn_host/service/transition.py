"""What a switch does to a host, decided before anything is touched.

Runs on managed hosts; pure functions on plain data. The plan (`--check`), the switch and the probe
share `decide`: the plan reports what it returns, the switch carries it out, and drift of a host
is what it says of the generation that is in force already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]
Unit = Mapping[str, Any]

RESTART = "restart"
"""Stands for a fingerprint in running.json: the unit's own text changed, a reload is not enough."""

STAGING = frozenset({"generation", "venv"})
"""Kinds of drift that no switch mends: the generation has to be staged."""


@dataclass(frozen=True)
class FileState:
    """A file as it is on the host."""

    sha256: str
    mode: int
    owner: str
    group: str


@dataclass(frozen=True)
class Seen:
    """What a host shows of one service."""

    running: Mapping[str, str] = field(default_factory=dict)
    """Unit to the fingerprint that it was last started with."""
    states: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Unit to its ActiveState, SubState and UnitFileState."""
    files: Mapping[str, FileState | None] = field(default_factory=dict)
    """Absolute path to the file there; None where there is none."""
    own: Mapping[str, FileState | None] = field(default_factory=dict)
    """Path below the generation in force to the file there: configuration and units."""
    etc: str | None = None
    """What the service's link in /etc points at; an empty string for something else than a link."""
    unit_files: Mapping[str, FileState | None] = field(default_factory=dict)
    """Unit to the file that systemd reads for it from /etc, through a link or not."""
    unit_links: Mapping[str, str | None] = field(default_factory=dict)
    """Unit to what its link points at."""
    dropins: Mapping[str, FileState | None] = field(default_factory=dict)
    """Unit to Cairn's drop-in of it."""
    wants: Mapping[str, str | None] = field(default_factory=dict)
    """Unit to what its link below *.wants points at."""


@dataclass(frozen=True)
class Places:
    """Where links of a service lead."""

    etc: str
    """The folder that the link in /etc points at."""
    units: str
    """The folder that links of units point at."""
    system: str
    """systemd's own folder, to which links below *.wants lead."""


@dataclass
class Decision:
    """What a switch does. Everything is in the order of the manifest."""

    units: dict[str, str] = field(default_factory=dict)
    """Unit to restart, reload or stop; units that are left alone are not in it."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """Absolute path to what of it is written: content, mode or owner."""
    own: dict[str, list[str]] = field(default_factory=dict)
    """Path below the generation in force to what of it was changed by hand and is restored."""
    mended: list[str] = field(default_factory=list)
    """Whatever is not as the generation in force left it, and will be as the new one says."""
    edited_units: list[str] = field(default_factory=list)
    """Units that may run with what was changed by hand."""
    rewritten: list[str] = field(default_factory=list)
    """Units of which systemd reads another text afterwards."""
    etc: bool = False
    """Whether the link in /etc is made."""
    unit_links: list[str] = field(default_factory=list)
    """Units whose link is made."""
    dropins: list[str] = field(default_factory=list)
    """Units whose drop-in is written or taken away."""
    wants: list[str] = field(default_factory=list)
    """Units whose link for the boot is made or taken away."""
    enable: list[str] = field(default_factory=list)
    """Units of Debian's that systemd is asked to start at boot."""
    disable: list[str] = field(default_factory=list)
    """Units of Debian's that systemd is asked not to start at boot."""
    removed_units: list[str] = field(default_factory=list)
    """Units of the generation in force that the new one does not have."""
    removed_files: list[str] = field(default_factory=list)
    """Absolute paths of the generation in force that the new one does not have."""

    def chosen(self, *verbs: str) -> list[str]:
        """Units with one of these verbs."""
        return [name for name, verb in self.units.items() if verb in verbs]

    def report(self) -> dict[str, list[str]]:
        """What plan and run tell, in one form."""
        return {
            "restarted": self.chosen("restart"),
            "reloaded": self.chosen("reload"),
            "stopped": self.chosen("stop"),
            "removed": [
                *(f"unit {name}" for name in self.removed_units),
                *(f"file {path}" for path in self.removed_files),
            ],
            "mended": list(self.mended),
        }

    def changes(self) -> bool:
        """Whether anything on the host changes, the link to the generation left aside."""
        return bool(
            self.units
            or self.files
            or self.own
            or self.etc
            or self.unit_links
            or self.dropins
            or self.wants
            or self.removed_units
            or self.removed_files
        )


def sha256(content: bytes) -> str:
    """Return the SHA-256 of content in hex."""
    return hashlib.sha256(content).hexdigest()


def kept_path(path: str) -> str:
    """Where a file is kept inside a generation: etc/… for the service's own, root/… for others."""
    return f"root{path}" if path.startswith("/") else f"etc/{path}"


def file_digest(file: Mapping[str, Any]) -> str | None:
    """Hash of a manifest's file; None for one of a virtualenv that nobody has looked into."""
    if "sha256" in file:
        return str(file["sha256"])
    return sha256(str(file["content"]).encode()) if "content" in file else None


def file_faults(
    wanted: Mapping[str, Any], digest: str | None, found: FileState | None
) -> list[str]:
    """What of a file is not as wanted: content, mode, owner. `digest` None fits any content."""
    if found is None:
        return ["content"]
    faults = []
    if digest is not None and found.sha256 != digest:
        faults.append("content")
    if found.mode != int(str(wanted["mode"]), 8):
        faults.append("mode")
    if (found.owner, found.group) != (wanted["owner"], wanted["group"]):
        faults.append("owner")
    return faults


def text_faults(text: str, found: FileState | None) -> list[str]:
    """What of a unit file or drop-in is not as wanted; they are root's and readable by all."""
    rights = {"mode": "0644", "owner": "root", "group": "root"}
    return file_faults(rights, sha256(text.encode()), found)


def wants_target(unit: Unit) -> str | None:
    """The target whose folder has a link to a unit of Cairn's; None for one without."""
    if not unit["text"] or "WantedBy=" not in unit["text"]:
        return None
    return "timers.target" if unit["unit"].endswith(".timer") else "multi-user.target"


def reads(unit: Unit, paths: Iterable[str]) -> bool:
    """Whether a unit is restarted for one of these files."""
    named = unit.get("config_files")
    for path in paths:
        if path.startswith("uwsgi-") and path != f"uwsgi-{unit.get('name')}.ini":
            continue
        if named is None or path in named:
            return True
    return False


def unit_verb(
    unit: Unit, running: str | None, state: Mapping[str, str], *, edited: bool, rewritten: bool
) -> str:
    """What is done to a unit: restart (or start), reload, stop or nothing (an empty string).

    `running` is its entry in running.json; `edited` tells that it may run with what was changed by
    hand, `rewritten` that systemd gets another text for it.
    """
    active = state.get("ActiveState")
    if unit["state"] == "stopped":
        return "stop" if active in ("active", "activating", "reloading") else ""
    if unit["state"] == "idle":
        return ""
    if active not in ("active", "reloading"):
        return "restart"
    current = running == unit["fingerprint"]
    if unit["on_change"] == "none" or (current and not edited and not rewritten):
        return ""
    # systemd takes over another text of a unit that runs only when it starts.
    return "restart" if rewritten or running == RESTART else str(unit["on_change"])


def decide(
    old: Manifest | None, new: Manifest, seen: Seen, places: Places, *, returning: bool = False
) -> Decision:
    """What it takes to make a host run the generation `new`.

    `old` is the manifest in force; None where there is none, or it is damaged. Both are either as
    staged (with hashes) or as the inventory asks for them (with contents). `returning` is for the
    way back from a switch that failed: what is not as that generation says was not changed by hand.
    """
    made = Decision()
    edited: set[str] = set()
    if old is not None and not returning:
        edited = _edited_files(old, new, seen, made)
    for file in new["files"]:
        if file["path"].startswith("/"):
            faults = file_faults(file, file_digest(file), seen.files.get(file["path"]))
            if faults:
                made.files[file["path"]] = faults
    made.etc = bool(new["etc"]) and seen.etc != places.etc
    before = {unit["unit"]: unit for unit in old["units"]} if old else {}
    for unit in new["units"]:
        known = None if returning else before.get(unit["unit"])
        _decide_unit(unit, known, edited, seen, places, made)
    if old is not None and old["id"] != new["id"]:
        kept = {unit["unit"] for unit in new["units"]}
        made.removed_units = [name for name in before if name not in kept]
        files = {file["path"] for file in new["files"]}
        made.removed_files = [
            file["path"]
            for file in old["files"]
            if file["path"].startswith("/") and file["path"] not in files
        ]
    made.mended = list(dict.fromkeys(made.mended))
    return made


def _edited_files(old: Manifest, new: Manifest, seen: Seen, made: Decision) -> set[str]:
    """Files of the generation in force whose content was changed by hand, as manifests name them.

    Notes in `made` what is mended: all of it outside the generation; inside only where that stays
    in force (a generation that is left is restored when it is returned to).
    """
    edited: set[str] = set()
    for file in old["files"]:
        path = file["path"]
        if path.startswith("/"):
            faults = file_faults(file, file_digest(file), seen.files.get(path))
            if faults:
                made.mended.append(path)
            if "content" in faults:
                edited.add(path)
    damage = own_faults(old, seen.own)
    for place, faults in damage.items():
        if place.startswith("root/"):
            continue
        name = f"/etc/{old['role']}/{place.removeprefix('etc/')}"
        made.mended.append(name if place.startswith("etc/") else place)
        if not place.startswith("etc/"):
            continue
        if "content" in faults:
            edited.add(place.removeprefix("etc/"))
        elif "added" in faults:
            # Whoever reads its configuration from there may read this, too.
            edited |= {f["path"] for f in old["files"] if not f["path"].startswith("/")}
    if old["id"] == new["id"]:
        made.own = damage
    return edited


def own_faults(manifest: Manifest, own: Mapping[str, FileState | None]) -> dict[str, list[str]]:
    """Place below a staged generation to what of it is not as the manifest says.

    Besides content, mode and owner a fault is `added`, for a file that does not belong there.
    """
    faults = {}
    places = set()
    for file in manifest["files"]:
        place = kept_path(file["path"])
        places.add(place)
        found = file_faults(file, file_digest(file), own.get(place))
        if found:
            faults[place] = found
    for unit in manifest["units"]:
        if unit["text"]:
            place = f"units/{unit['unit']}"
            found = text_faults(unit["text"], own.get(place))
            if found:
                faults[place] = found
    added = [place for place in own if place.startswith("etc/") and place not in places]
    return {**faults, **{place: ["added"] for place in sorted(added)}}


def _decide_unit(
    unit: Unit,
    before: Unit | None,
    edited: set[str],
    seen: Seen,
    places: Places,
    made: Decision,
) -> None:
    """Decide on one unit; `before` is what the generation in force says of it."""
    name = unit["unit"]
    text, dropin = seen.unit_files.get(name), seen.dropins.get(name)
    by_hand = False
    if before is not None:
        changed = before["text"] and "content" in text_faults(before["text"], text)
        other = before["dropin"] and text_faults(before["dropin"], dropin)
        by_hand = bool(changed or "content" in (other or []))
        if changed:
            made.mended.append(f"unit {name}")
        if other or (not before["dropin"] and dropin is not None):
            made.mended.append(f"drop-in of {name}")
    rewritten = bool(unit["text"]) and "content" in text_faults(unit["text"], text)
    if unit["text"] and seen.unit_links.get(name) != f"{places.units}/{name}":
        made.unit_links.append(name)
    if unit["dropin"]:
        faults = text_faults(unit["dropin"], dropin)
        rewritten |= "content" in faults
    else:
        faults = ["content"] if dropin is not None else []
        rewritten |= dropin is not None
    if faults:
        made.dropins.append(name)
    if rewritten:
        made.rewritten.append(name)
    verb = "enable" if unit["enabled"] else "disable"
    if wants_target(unit):
        wanted = f"{places.system}/{name}" if unit["enabled"] else None
        if seen.wants.get(name) != wanted:
            made.wants.append(name)
    elif not unit["text"] and seen.states.get(name, {}).get("UnitFileState") != f"{verb}d":
        getattr(made, verb).append(name)
    spoilt = by_hand or reads(unit, edited)
    if spoilt:
        made.edited_units.append(name)
    done = unit_verb(
        unit,
        seen.running.get(name),
        seen.states.get(name, {}),
        edited=spoilt,
        rewritten=rewritten,
    )
    if done:
        made.units[name] = done


def drift(manifest: Manifest, seen: Seen, made: Decision) -> list[dict[str, str]]:
    """What a host lacks of the generation in force: {kind, what, text}.

    `made` is what `decide` says of that generation. Kinds are `file`, `link`, `dropin` and `unit`.
    """
    found = [
        *(("file", path, _changed(path, faults)) for path, faults in made.files.items()),
        *(
            ("file", place, _changed(f"{place} in the generation", faults))
            for place, faults in made.own.items()
        ),
        *(("link", name, f"the link of {name} was changed") for name in made.unit_links),
        *(("dropin", name, f"the drop-in of {name} was changed") for name in made.dropins),
        *(("unit", name, f"{name}: its link for the boot was changed") for name in made.wants),
    ]
    if made.etc:
        found.append(("link", "etc", f"/etc/{manifest['role']} is not the current generation's"))
    for unit in manifest["units"]:
        text = _unit_drift(unit, seen, made)
        found += [("unit", unit["unit"], f"{unit['unit']} {one}") for one in text]
    return [{"kind": kind, "what": what, "text": text} for kind, what, text in found]


def _changed(path: str, faults: list[str]) -> str:
    """Say what was changed of a file."""
    if "added" in faults:
        return f"{path} does not belong there"
    if "content" in faults:
        return f"{path} was changed on the host"
    return f"{path}: its {' and '.join(faults)} changed on the host"


def _unit_drift(unit: Unit, seen: Seen, made: Decision) -> list[str]:
    """Say what a unit is not that it should be."""
    name = unit["unit"]
    state = seen.states.get(name, {})
    active = state.get("ActiveState", "unknown")
    running = seen.running.get(name)
    said = []
    if unit["state"] == "started" and active not in ("active", "reloading"):
        said.append(f"is {active}")
    elif made.units.get(name) == "stop":
        said.append("runs but should not")
    elif running == RESTART or (unit["on_change"] != "none" and running != unit["fingerprint"]):
        said.append("runs with older inputs")
    if unit["enabled"] and state.get("UnitFileState") in ("disabled", "masked", "linked"):
        said.append("would not start at boot")
    return said
