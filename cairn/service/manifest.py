"""The manifest: the intended state of a service on a host, made from the service's description.

Pure functions on plain data. A manifest contains the content of every file, so its hash names the
generation: work is left if the hash differs from that of the generation in force. `_fingerprint`
hashes what a unit depends on; a new fingerprint restarts the unit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from cairn_host import paths

from ..errors import DescriptionError
from . import dialects, ini, oslo, units
from .description import (
    FOLDER,
    Description,
    in_groups,
)

Manifest = dict[str, Any]

PLACE_KEYS = ("owner", "group", "mode", "secret", "dialect")
# Text in the description, template of the role, file of the role, file of the virtualenv.
FILE_SOURCES = ("content", "template", "copy", "from_venv")


def digest(value: Any, length: int = 12) -> str:
    """The first `length` hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def venv_name(lock: str, lock_text: str) -> str:
    """The name of a virtualenv: its lock and the lock's hash."""
    return f"{lock}-{digest(lock_text)}"


def build(
    role: str,
    description: Description,
    *,
    site: Mapping[str, Any],
    me: Mapping[str, Any],
    secrets: Mapping[str, str],
    overrides: Mapping[str, Any],
    read_lock: Callable[[str], str],
    read_file: Callable[[str], str],
    render_template: Callable[[str], str],
) -> Manifest | None:
    """The manifest of a service for the host `me`; None if the service is not for that host.

    `description` is templated. `overrides` is the operator's `<role>_config`: file to section to
    option. `read_lock` returns the text of a lock file, `read_file` that of a file of the role,
    `render_template` the result of a template of the role. Raises DescriptionError for an invalid
    description.
    """
    default = list(description["groups"])
    if not in_groups(description, default, me):
        return None
    user = description.get("user") or {}
    lock = description.get("lock")
    modules = list(description.get("distro_modules", []))
    venv = None
    if lock:
        venv = {
            "name": venv_name(lock, read_lock(lock)),
            "lock": lock,
            "distro_modules": modules,
        }
    files = [
        *_config_files(role, description, default, site, me, secrets, overrides),
        *_other_files(role, description, default, me, secrets, read_file, render_template),
    ]
    made = units.build(role, description, default, me=me, user=user)
    files += made.files
    by_name = {file["path"]: file for file in files}
    if len(by_name) != len(files):
        doubled = sorted({f["path"] for f in files if files.count(by_name[f["path"]]) != 1})
        raise DescriptionError(f"{role}_service: {doubled} described more than once")
    built = _built_folders(role, description, default, me, by_name, venv)
    for unit in made.units:
        unit["fingerprint"] = _fingerprint(role, unit, by_name, venv, built)
    manifest: Manifest = {
        "role": role,
        "release": site["release"],
        "user": dict(user),
        "packages": _packages(description, default, me),
        "venv": venv,
        "directories": [
            {k: v for k, v in entry.items() if k != "groups"}
            for entry in description.get("directories", [])
            if in_groups(entry, default, me)
        ],
        "files": files,
        "etc": any(not file["path"].startswith("/") for file in files),
        "build": built,
        "units": made.units,
        "validate": [list(command) for command in description.get("validate", [])],
        "migrations": _migrations(description, default, site, me),
        "records": {str(k): str(v) for k, v in (description.get("records") or {}).items()},
    }
    dialects.refuse(manifest, f"{role}_service")
    manifest["id"] = digest(manifest)
    return manifest


def _packages(description: Description, default: list[str], me: Mapping[str, Any]) -> list[str]:
    names: set[str] = set()
    for entry in description.get("packages", []):
        if in_groups(entry, default, me):
            names.update(entry["names"])
    return sorted(names)


def _migrations(
    description: Description, default: list[str], site: Mapping[str, Any], me: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Schema migrations, which run once on a host of the description's first group.

    Steps before the switch run on its first host, which is switched first. Steps after the switch
    run on its last host, because old code on the others may still need what they remove.
    """
    hosts = site["groups"].get(default[0], [])
    where = {"before": hosts[:1], "after": hosts[-1:]}
    return [
        dict(entry)
        for entry in description.get("migrations", [])
        if me["name"] in where[entry["phase"]]
    ]


def _merge(base: dict[str, dict[str, Any]], extra: Mapping[str, Any]) -> None:
    for section, options in extra.items():
        base.setdefault(section, {}).update(options)


def _config_files(
    role: str,
    description: Description,
    default: list[str],
    site: Mapping[str, Any],
    me: Mapping[str, Any],
    secrets: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """INI files: derived sections, overridden by the role's, overridden by the operator's."""
    merged: dict[str, dict[str, dict[str, Any]]] = {}
    meta: dict[str, dict[str, Any]] = {}
    for entry in description.get("config", []):
        if not in_groups(entry, default, me):
            continue
        sections = merged.setdefault(entry["file"], {})
        known = meta.setdefault(entry["file"], {"namespaces": [], "like": {}})
        known["like"].update(entry.get("like", {}))
        known.update({k: entry[k] for k in PLACE_KEYS if k in entry})
        known["namespaces"] += [
            n for n in entry.get("namespaces", []) if n not in known["namespaces"]
        ]
        if entry.get("oslo"):
            _merge(sections, oslo.derive(entry["oslo"], role=role, site=site, secrets=secrets))
        _merge(sections, entry.get("sections", {}))
    described = {entry["file"] for entry in description.get("config", [])}
    for name in overrides:
        if name not in described:
            raise DescriptionError(
                f"{me['name']}: {role}_config names {name!r}, which {role} does not have; "
                f"its files are {sorted(described)}"
            )
    files = []
    for name, sections in merged.items():
        header = f"Made by Cairn for {role}; change {role}_config in the inventory instead."
        dialect = meta[name].get("dialect", "oslo")
        if dialect not in dialects.OPTIONS:
            raise DescriptionError(
                f"{role}_service.config {name}: dialect {dialect!r}: use one of "
                f"{', '.join(dialects.OPTIONS)}"
            )
        chosen_options = ini.merge(sections, overrides.get(name, {}))
        for options in chosen_options.values():
            for option, value in options.items():
                options[option] = dialects.option(value, dialect, secrets)
        files.append(
            {
                **_placed(role, name, meta[name], description),
                "content": ini.render_ini(chosen_options, header=header),
                "format": "ini",
                "namespaces": meta[name]["namespaces"],
                **({"like": meta[name]["like"]} if meta[name]["like"] else {}),
            }
        )
    return files


def _other_files(
    role: str,
    description: Description,
    default: list[str],
    me: Mapping[str, Any],
    secrets: Mapping[str, str],
    read_file: Callable[[str], str],
    render_template: Callable[[str], str],
) -> list[dict[str, Any]]:
    files = []
    for entry in description.get("files", []):
        where = f"{role}_service.files {entry.get('path')}"
        if not in_groups(entry, default, me):
            continue
        sources = [key for key in FILE_SOURCES if key in entry]
        if len(sources) != 1:
            raise DescriptionError(f"{where}: needs exactly one of {', '.join(FILE_SOURCES)}")
        file = _placed(role, entry["path"], entry, description)
        if "from_venv" in entry:
            if not description.get("lock"):
                raise DescriptionError(f"{where}: from_venv needs the description's lock")
            file["from_venv"] = entry["from_venv"]
        elif "template" in entry:
            file["content"] = render_template(entry["template"])
        elif "copy" in entry:
            file["content"] = read_file(entry["copy"])
        else:
            file["content"] = str(entry["content"])
        if "content" in file:
            file["content"] = dialects.file(file["content"], entry.get("dialect"), secrets, where)
        files.append(file)
    sudoers = (description.get("sudoers") or "").strip()
    privsep = [
        entry["oslo"]["privsep"]
        for entry in description.get("config", [])
        if in_groups(entry, default, me) and (entry.get("oslo") or {}).get("privsep")
    ]
    if privsep:
        venv = str(paths.current(role) / "venv")
        sudoers = oslo.sudoers(description["user"]["name"], venv) + sudoers
    if sudoers:
        files.append(
            {
                "path": str(paths.SUDOERS / f"cairn-{role}"),
                "content": sudoers.rstrip() + "\n",
                "mode": "0440",
                "owner": "root",
                "group": "root",
                "secret": False,
            }
        )
    return files


def _built_folders(
    role: str,
    description: Description,
    default: list[str],
    me: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    venv: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Folders of the generation that commands fill; `key` is the hash of their inputs."""
    built = []
    for entry in description.get("build", []):
        where = f"{role}_service.build {entry.get('folder')}"
        if not in_groups(entry, default, me):
            continue
        if not FOLDER.fullmatch(entry["folder"]):
            raise DescriptionError(f"{where}: a generation's own parts have such names")
        unknown = sorted(set(entry.get("files", [])) - set(files))
        if unknown:
            raise DescriptionError(f"{where}: files names {unknown}, not among {sorted(files)}")
        commands = [list(command) for command in entry["commands"]]
        inputs = [_source(files[name]) for name in entry.get("files", [])]
        key = digest([venv, commands, inputs])
        built.append({"folder": entry["folder"], "key": key, "commands": commands})
    return built


def _source(file: Mapping[str, Any]) -> list[Any]:
    """Where a file's content comes from: itself, or a path in the virtualenv."""
    return [file.get("content"), file.get("from_venv")]


def _placed(
    role: str, path: str, entry: Mapping[str, Any], description: Description
) -> dict[str, Any]:
    """Owner and mode of a file; files of the service are readable by its group only."""
    user = (description.get("user") or {}).get("name", "root")
    inside = not path.startswith("/")
    return {
        "path": path,
        "mode": str(entry.get("mode", "0640" if inside else "0644")),
        "owner": entry.get("owner", "root"),
        "group": entry.get("group", user if inside else "root"),
        "secret": bool(entry.get("secret", False)),
    }


def _fingerprint(
    role: str,
    unit: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    venv: Mapping[str, Any] | None,
    built: list[dict[str, Any]],
) -> str:
    """The hash of everything whose change restarts the unit."""
    wanted = unit["config_files"]
    unknown = sorted(set(wanted or []) - set(files))
    if unknown:
        raise DescriptionError(
            f"{role}_service.units.{unit['unit']}: config_files names {unknown}, not among the "
            f"files of this host: {sorted(files)}"
        )
    chosen = files if wanted is None else {name: files[name] for name in wanted}
    inputs = {
        name: _source(file)
        for name, file in chosen.items()
        if not name.startswith("uwsgi-") or name == f"uwsgi-{unit['name']}.ini"
    }
    return digest([unit["text"], unit["dropin"], inputs, venv, *(one["key"] for one in built)])
