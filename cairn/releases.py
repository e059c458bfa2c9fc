"""What belongs to an OpenStack release: `releases/<release>/release.yml`. Control node only.

The file names the hosts' Python, for each service the versions that are this release's, and the
upper constraints that its locks leave behind:

    python: "3.13"
    versions: {keystone: ">=29.1,<30"}
    overrides:
      - {package: django, version: ">=5.2.19,<5.3", since: 2026-11-30, reason: …}

Package names are normalised as PyPI does it (PEP 503), versions are specifiers (PEP 440).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from . import plain_yaml
from .errors import CairnError

FILE = "release.yml"
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


class ReleaseError(CairnError):
    """A release's file is wrong; the text says where and how it reads right."""


@dataclass(frozen=True)
class Override:
    """An upper constraint that the locks of a release may exceed."""

    package: str
    version: SpecifierSet
    since: datetime.date
    reason: str


@dataclass(frozen=True)
class Release:
    """The facts of one release; `versions` maps a package to what belongs to the release."""

    name: str
    python: str
    versions: Mapping[str, SpecifierSet]
    overrides: Sequence[Override]


def read(folder: Path) -> Release:
    """Read the release in `folder`; ReleaseError when its file is missing or wrong."""
    path = folder / FILE
    try:
        content = plain_yaml.load(path.read_text())
    except OSError as error:
        raise ReleaseError(
            f"{path}: {error.strerror}; a release names its versions there"
        ) from None
    except yaml.YAMLError as error:
        raise ReleaseError(f"{path}: not YAML: {error}") from None
    return parse(folder.name, content, str(path))


def parse(name: str, content: Any, where: str) -> Release:
    """Return the release that `content` describes; ReleaseError names the entry that is wrong."""
    known = {"python", "versions", "overrides"}
    if not isinstance(content, dict) or not {"python", "versions"} <= set(content) <= known:
        raise ReleaseError(f"{where}: needs python and versions, and may have overrides")
    if not isinstance(content["python"], str):
        raise ReleaseError(f'{where}: python: write the version in quotes, as in "3.13"')
    versions: dict[str, SpecifierSet] = {
        canonicalize_name(package): _specifier(text, f"{where}: versions: {package}")
        for package, text in content["versions"].items()
    }
    overrides = [_override(entry, where) for entry in content.get("overrides") or []]
    return Release(name, content["python"], versions, overrides)


def _specifier(text: Any, where: str) -> SpecifierSet:
    try:
        return SpecifierSet(str(text))
    except InvalidSpecifier:
        raise ReleaseError(
            f'{where}: {text!r} is no range of versions such as ">=29.1,<30"'
        ) from None


def _override(entry: Any, where: str) -> Override:
    needed = {"package", "version", "since", "reason"}
    if not isinstance(entry, dict) or set(entry) != needed:
        raise ReleaseError(f"{where}: overrides: {entry} needs {', '.join(sorted(needed))}")
    where = f"{where}: overrides: {entry['package']}"
    if not isinstance(entry["since"], datetime.date):
        raise ReleaseError(f"{where}: since: {entry['since']!r} is no date such as 2026-11-30")
    if not str(entry["reason"] or "").strip():
        raise ReleaseError(f"{where}: reason: says nothing; why may the constraint be exceeded?")
    return Override(
        canonicalize_name(entry["package"]),
        _specifier(entry["version"], where),
        entry["since"],
        str(entry["reason"]).strip(),
    )


def pins(text: str) -> dict[str, Version]:
    """Return package and version of everything that the text of a lock pins."""
    matches = filter(None, map(PIN.match, text.splitlines()))
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches}


def strangers(release: Release, pinned: Mapping[str, Version]) -> list[str]:
    """Return a line for each pinned service whose version is not this release's."""
    return [
        f"{package} {pinned[package]} is not {release.name}'s, which has {allowed}"
        for package, allowed in sorted(release.versions.items())
        if package in pinned and pinned[package] not in allowed
    ]


def relax(constraints: str, overrides: Sequence[Override]) -> tuple[str, dict[str, str]]:
    """Replace what `overrides` says in the text of upper constraints.

    Returns the new text, and for each override that exceeds its constraint the version that the
    constraint names. A constraint within the override's range stays: the override has done its
    work.
    """
    by_package = {override.package: override for override in overrides}
    exceeded: dict[str, str] = {}
    lines: list[str] = []
    for line in constraints.splitlines():
        try:
            # Upper constraints pin by ===, an arbitrary equality that only compares text.
            requirement = Requirement(line.partition("#")[0].replace("===", "=="))
        except InvalidRequirement:
            lines.append(line)
            continue
        package = canonicalize_name(requirement.name)
        override = by_package.get(package)
        pinned = [part.version for part in requirement.specifier if part.operator == "=="]
        if override is None or not pinned or pinned[0] in override.version:
            lines.append(line)
            continue
        exceeded[package] = pinned[0]
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        lines.append(f"{requirement.name}{override.version}{marker}")
    return "\n".join([*lines, ""]), exceeded
