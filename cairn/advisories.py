"""Known vulnerabilities of what locks pin, from a saved database. Control node only.

A database is a zip file, a folder or a single file of advisories in one of two formats:

- OSV records, JSON or YAML, as in the export of osv.dev for PyPI and in pypa/advisory-database
  (https://ossf.github.io/osv-schema/);
- OpenStack's own advisories (openstack/ossa), YAML.

An exception names an advisory that is known and left open for a time, with the reason:

    - {id: CVE-2026-1, package: cinder, since: 2026-11-30, until: 2027-02-28, reason: …}
"""

from __future__ import annotations

import datetime
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from . import plain_yaml
from .errors import CairnError

ENDINGS = (".json", ".yaml", ".yml")
# What OpenStack calls otherwise than PyPI does.
DISTRIBUTIONS = {"heat": "openstack-heat", "placement": "openstack-placement"}
# Until 2015 versions were dates; the numbers since then (12.0.0 is Liberty) are all newer.
DATED = re.compile(r"\b20[01]\d\.")
EXCEPTION_KEYS = {"id", "package", "since", "until", "reason"}


class AuditError(CairnError):
    """A database or the list of exceptions cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Advisory:
    """One advisory about one package."""

    names: tuple[str, ...]  # its id first, then its aliases
    package: str
    summary: str
    affected: tuple[SpecifierSet, ...]  # any of them
    versions: frozenset[str] = frozenset()  # listed one by one
    fixed: tuple[str, ...] = ()

    def affects(self, version: Version) -> bool:
        """Whether the advisory is about this version."""
        listed = str(version) in self.versions
        return listed or any(span.contains(version, prereleases=True) for span in self.affected)


@dataclass
class Database:
    """Advisories by package, and when the newest was changed."""

    by_package: dict[str, list[Advisory]] = field(default_factory=dict)
    newest: datetime.date = datetime.date.min

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in one record of either format; a withdrawn one counts for the age only."""
        ours = "affected-products" in record
        changed = _date(record.get("date") if ours else record.get("modified"))
        self.newest = max(self.newest, changed)
        if record.get("withdrawn"):
            return
        for advisory in _of_openstack(record) if ours else _of_osv(record):
            self.by_package.setdefault(advisory.package, []).append(advisory)

    def about(self, package: str, version: Version) -> list[Advisory]:
        """The advisories that affect a version of a package; one of each set of aliases."""
        found: list[Advisory] = []
        for advisory in self.by_package.get(package, ()):
            known = {name for one in found for name in one.names}
            if advisory.affects(version) and not known & set(advisory.names):
                found.append(advisory)
        return found


@dataclass(frozen=True)
class Exemption:
    """An advisory that is left open for a time."""

    name: str
    package: str
    since: datetime.date
    until: datetime.date
    reason: str


@dataclass(frozen=True)
class Finding:
    """A pinned version with a known vulnerability."""

    package: str
    version: str
    advisory: Advisory
    locks: tuple[str, ...]
    exemption: Exemption | None = None


def read_database(paths: Sequence[Path]) -> Database:
    """Read databases into one; AuditError when one is missing or has no advisory in it."""
    database = Database()
    for path in paths:
        before = len(database.by_package)
        number = 0
        for name, text in _texts(path):
            try:
                record = json.loads(text) if name.endswith(".json") else plain_yaml.load(text)
            except (ValueError, yaml.YAMLError) as error:
                raise AuditError(f"{path}: {name} cannot be read: {error}") from None
            if isinstance(record, dict) and ("affected" in record or "affected-products" in record):
                database.add(record)
                number += 1
        if not number:
            raise AuditError(f"{path}: no advisory in it; save one as docs/audit.md says")
        if before == len(database.by_package) == 0:
            raise AuditError(f"{path}: {number} advisories, none about a PyPI package")
    return database


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of the files of a database."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix in ENDINGS and file.is_file():
                yield str(file.relative_to(path)), file.read_text()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(ENDINGS):
                    yield name, archive.read(name).decode()
    elif path.is_file():
        yield path.name, path.read_text()
    else:
        raise AuditError(f"{path} is not there; save one as docs/audit.md says")


def _date(value: Any) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(value)[:10])
    except ValueError:
        return datetime.date.min


def _of_osv(record: Mapping[str, Any]) -> Iterator[Advisory]:
    names = (record["id"], *(str(alias) for alias in record.get("aliases") or ()))
    summary = str(record.get("summary") or record.get("details") or "").strip().split("\n")[0]
    for affected in record["affected"]:
        package = affected.get("package") or {}
        if package.get("ecosystem") != "PyPI":
            continue
        spans: list[SpecifierSet] = []
        fixed: list[str] = []
        for given in affected.get("ranges") or ():
            if given.get("type") == "ECOSYSTEM":
                spans += _spans(given.get("events") or ())
                fixed += [str(event["fixed"]) for event in given["events"] if "fixed" in event]
        yield Advisory(
            names,
            canonicalize_name(package["name"]),
            summary,
            tuple(spans),
            frozenset(map(_normal, affected.get("versions") or ())),
            tuple(fixed),
        )


def _spans(events: Iterable[Mapping[str, Any]]) -> list[SpecifierSet]:
    """Return the spans of versions that OSV's events (introduced, fixed, last_affected) enclose."""
    spans: list[SpecifierSet] = []
    begin: str | None = None
    for event in events:
        (kind, value), *_ = event.items()
        if kind == "introduced":
            begin = "" if str(value) == "0" else f">={value}"
        elif begin is not None and kind in ("fixed", "last_affected"):
            end = f"{'<' if kind == 'fixed' else '<='}{value}"
            spans += _specifier(f"{begin},{end}".strip(","))
            begin = None
    if begin is not None:
        spans += _specifier(begin)
    return spans


def _specifier(text: str) -> list[SpecifierSet]:
    """Return the set that `text` says, nothing where it follows no rules of Python's versions."""
    try:
        return [SpecifierSet(text)]
    except InvalidSpecifier:
        return []


def _of_openstack(record: Mapping[str, Any]) -> Iterator[Advisory]:
    """Read an OSSA: a list of spans by product, such as ">=18.0.0 <31.3.1, ==32.0.0"."""
    cves = [str(one.get("cve-id")) for one in record.get("vulnerabilities") or ()]
    names = (str(record["id"]), *cves)
    for product in record["affected-products"]:
        # Some advisories name several products at once, as in "nova, cinder".
        for name in re.split(r"[,\s]+", str(product["product"]).strip().lower()):
            texts = [part for part in str(product["version"]).split(",") if not DATED.search(part)]
            spans = [span for text in texts for span in _specifier(",".join(text.split()))]
            package = canonicalize_name(DISTRIBUTIONS.get(name, name))
            yield Advisory(names, package, str(record.get("title", "")), tuple(spans))


def _normal(version: Any) -> str:
    try:
        return str(Version(str(version)))
    except InvalidVersion:
        return str(version)


def read_exemptions(path: Path) -> list[Exemption]:
    """Read the list of exceptions; AuditError names the entry that is wrong."""
    entries = plain_yaml.load(path.read_text()) or []
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != EXCEPTION_KEYS:
            raise AuditError(f"{path}: {entry} needs {', '.join(sorted(EXCEPTION_KEYS))}")
        where = f"{path}: {entry['id']}"
        for key in ("since", "until"):
            if not isinstance(entry[key], datetime.date):
                raise AuditError(f"{where}: {key}: {entry[key]!r} is no date such as 2026-11-30")
        if not str(entry["reason"] or "").strip():
            raise AuditError(f"{where}: reason: says nothing; why may it stay open?")
        found.append(
            Exemption(
                str(entry["id"]),
                canonicalize_name(entry["package"]),
                entry["since"],
                entry["until"],
                str(entry["reason"]).strip(),
            )
        )
    return found


def audit(
    locks: Mapping[str, Mapping[str, Version]],
    database: Database,
    exemptions: Sequence[Exemption],
) -> list[Finding]:
    """Return what the database knows of what `locks` pin (lock → package → version), sorted."""
    where: dict[tuple[str, Version], list[str]] = {}
    for lock, pinned in locks.items():
        for package, version in pinned.items():
            where.setdefault((package, version), []).append(lock)
    findings = []
    for (package, version), names in sorted(where.items()):
        for advisory in database.about(package, version):
            exempt = [e for e in exemptions if e.package == package and e.name in advisory.names]
            findings.append(
                Finding(
                    package,
                    str(version),
                    advisory,
                    tuple(sorted(names)),
                    exempt[0] if exempt else None,
                )
            )
    return findings


def expired(exemptions: Iterable[Exemption], today: datetime.date) -> list[Exemption]:
    """Return the exceptions whose time is over, whether or not they are still needed."""
    return [exemption for exemption in exemptions if exemption.until < today]
