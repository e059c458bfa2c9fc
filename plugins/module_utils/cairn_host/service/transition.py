"""What a switch does to a host, decided before anything is touched.

Runs on managed hosts; pure functions on plain data. The plan (`--check`), the switch and the probe
share `decide`: the plan reports its result, the switch carries it out, and for the generation in
force its result is the host's drift.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]
Unit = Mapping[str, Any]

RESTART = "restart"
"""In place of a fingerprint in running.json: the unit's text changed, a reload is not enough."""

UNIT_RIGHTS = {"mode": "0644", "owner": "root", "group": "root"}
"""Mode and owner of unit files and drop-ins."""

STAGING = frozenset({"generation", "venv"})
"""Kinds of drift that a switch cannot repair: the generation must be staged again."""


@dataclass(frozen=True)
class FileState:
    """The state of a file on the host."""

    sha256: str
    mode: int
    owner: str
    group: str


@dataclass(frozen=True)
class Seen:
    """The observed state of one service on a host."""

    running: Mapping[str, str] = field(default_factory=dict)
    """Unit to the fingerprint with which it was last started."""
    states: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Unit to its ActiveState, SubState and UnitFileState."""
    files: Mapping[str, FileState | None] = field(default_factory=dict)
    """Absolute path to the file's state; None if there is no file."""
    own: Mapping[str, FileState | None] = field(default_factory=dict)
    """Path below the generation in force to the file's state: configuration and units."""
    etc: str | None = None
    """The target of the service's link in /etc; empty if it is not a link."""
    unit_files: Mapping[str, FileState | None] = field(default_factory=dict)
    """Unit to the file that systemd reads for it from /etc, directly or through a link."""
    unit_links: Mapping[str, str | None] = field(default_factory=dict)
    """Unit to the target of its link."""
    dropins: Mapping[str, FileState | None] = field(default_factory=dict)
    """Unit to the state of Cairn's drop-in."""
    wants: Mapping[str, str | None] = field(default_factory=dict)
    """Unit to the target of its link below *.wants."""


@dataclass(frozen=True)
class Places:
    """The targets of a service's links."""

    etc: str
    """The target of the link in /etc."""
    units: str
    """The folder with the targets of unit links."""
    system: str
    """systemd's folder, with the targets of links below *.wants."""


@dataclass
class Decision:
    """What a switch does. Everything is in the order of the manifest."""

    units: dict[str, str] = field(default_factory=dict)
    """Unit to restart, reload or stop; units that are left alone are missing."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """Absolute path to the aspects that are written: content, mode or owner."""
    own: dict[str, list[str]] = field(default_factory=dict)
    """Path below the generation in force to the manually changed aspects that are restored."""
    mended: list[str] = field(default_factory=list)
    """Things that differ from the generation in force, and are replaced by the new one's."""
    edited_units: list[str] = field(default_factory=list)
    """Units that may run with manually changed files."""
    rewritten: list[str] = field(default_factory=list)
    """Units whose text changes for systemd."""
    etc: bool = False
    """Whether the link in /etc is created."""
    unit_links: list[str] = field(default_factory=list)
    """Units whose link is created."""
    dropins: list[str] = field(default_factory=list)
    """Units whose drop-in is written or removed."""
    wants: list[str] = field(default_factory=list)
    """Units whose link for the boot is created or removed."""
    enable: list[str] = field(default_factory=list)
    """Debian's units that are enabled by systemctl."""
    disable: list[str] = field(default_factory=list)
    """Debian's units that are disabled by systemctl."""
    removed_units: list[str] = field(default_factory=list)
    """Units of the generation in force that the new one does not have."""
    removed_files: list[str] = field(default_factory=list)
    """Absolute paths of the generation in force that the new one does not have."""

    def chosen(self, *verbs: str) -> list[str]:
        """Units with one of these verbs."""
        return [name for name, verb in self.units.items() if verb in verbs]

    def report(self) -> dict[str, list[str]]:
        """The result of a plan and of a run, in one form."""
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
        """Whether anything on the host changes, apart from the link to the generation."""
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
    """Hash of a manifest's file; None for a file from a virtualenv that was not read yet."""
    if "sha256" in file:
        return str(file["sha256"])
    return sha256(str(file["content"]).encode()) if "content" in file else None


def file_faults(
    wanted: Mapping[str, Any], digest: str | None, found: FileState | None
) -> list[str]:
    """The aspects in which a file differs: content, mode, owner. `digest` None fits any content."""
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
    """The aspects in which a unit file or drop-in differs."""
    return file_faults(UNIT_RIGHTS, sha256(text.encode()), found)


def wants_target(unit: Unit) -> str | None:
    """The target whose *.wants folder links to a generated unit; None if there is none."""
    if not unit["text"] or "WantedBy=" not in unit["text"]:
        return None
    return "timers.target" if unit["unit"].endswith(".timer") else "multi-user.target"


def reads(unit: Unit, paths: Iterable[str]) -> bool:
    """Whether one of these files restarts a unit."""
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
    """The action on a unit: restart (or start), reload, stop, or an empty string for none.

    `running` is its entry in running.json; `edited` is whether it may run with manually changed
    files, `rewritten` whether its text changes for systemd.
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
    # systemd applies a running unit's new text only when the unit restarts.
    return "restart" if rewritten or running == RESTART else str(unit["on_change"])


def decide(
    old: Manifest | None, new: Manifest, seen: Seen, places: Places, *, returning: bool = False
) -> Decision:
    """What a switch of a host to the generation `new` does.

    `old` is the manifest in force; None if there is none, or it is damaged. Both are either staged
    (with hashes) or from the inventory (with contents). `returning` is for the return from a failed
    switch: differences are then not manual changes.
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
        previous = None if returning else before.get(unit["unit"])
        _decide_unit(unit, previous, edited, seen, places, made)
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
    """Files of the generation in force with manually changed content, by their names in manifests.

    Adds to `made` what is mended: all files outside the generation, and files inside it if it stays
    in force (otherwise they are restored by a rollback to it).
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
        linked = place.startswith("etc/") and old.get("etc", True)
        made.mended.append(f"/etc/{old['role']}/{place.removeprefix('etc/')}" if linked else place)
        if not place.startswith("etc/"):
            continue
        if "content" in faults:
            edited.add(place.removeprefix("etc/"))
        elif "added" in faults:
            # Every reader of the folder may read this file, too.
            edited |= {f["path"] for f in old["files"] if not f["path"].startswith("/")}
    if old["id"] == new["id"]:
        made.own = damage
    return edited


def own_faults(manifest: Manifest, own: Mapping[str, FileState | None]) -> dict[str, list[str]]:
    """Path below a staged generation to the aspects that differ from its manifest.

    Besides content, mode and owner there is `added`, for a file that does not belong there.
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
    """Decide on one unit; `before` is its entry in the generation in force."""
    name = unit["unit"]
    text, dropin = seen.unit_files.get(name), seen.dropins.get(name)
    edited_itself = False
    if before is not None:
        changed = before["text"] and "content" in text_faults(before["text"], text)
        dropin_faults = before["dropin"] and text_faults(before["dropin"], dropin)
        edited_itself = bool(changed or "content" in (dropin_faults or []))
        if changed:
            made.mended.append(f"unit {name}")
        if dropin_faults or (not before["dropin"] and dropin is not None):
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
    unit_edited = edited_itself or reads(unit, edited)
    if unit_edited:
        made.edited_units.append(name)
    action = unit_verb(
        unit,
        seen.running.get(name),
        seen.states.get(name, {}),
        edited=unit_edited,
        rewritten=rewritten,
    )
    if action:
        made.units[name] = action


def drift(manifest: Manifest, seen: Seen, made: Decision) -> list[dict[str, str]]:
    """How a host differs from the generation in force: a list of {kind, what, text}.

    `made` is the result of `decide` for it. Kinds are `file`, `link`, `dropin` and `unit`.
    """
    differences = [
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
        text = f"/etc/{manifest['role']} is not the current generation's"
        differences.append(("link", "etc", text))
    for unit in manifest["units"]:
        texts = _unit_drift(unit, seen, made)
        differences += [("unit", unit["unit"], f"{unit['unit']} {one}") for one in texts]
    return [{"kind": kind, "what": what, "text": text} for kind, what, text in differences]


def _changed(path: str, faults: list[str]) -> str:
    """A sentence on the manual changes of a file."""
    if "added" in faults:
        return f"{path} does not belong there"
    if "content" in faults:
        return f"{path} was changed on the host"
    return f"{path}: its {' and '.join(faults)} changed on the host"


def _unit_drift(unit: Unit, seen: Seen, made: Decision) -> list[str]:
    """The states in which a unit should not be, as ends of sentences."""
    name = unit["unit"]
    state = seen.states.get(name, {})
    active = state.get("ActiveState", "unknown")
    running = seen.running.get(name)
    texts = []
    if unit["state"] == "started" and active not in ("active", "reloading"):
        texts.append(f"is {active}")
    elif made.units.get(name) == "stop":
        texts.append("runs but should not")
    elif running == RESTART or (unit["on_change"] != "none" and running != unit["fingerprint"]):
        texts.append("runs with older inputs")
    if unit["enabled"] and state.get("UnitFileState") in ("disabled", "masked", "linked"):
        texts.append("would not start at boot")
    return texts
