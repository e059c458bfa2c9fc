#!/usr/bin/env python3
"""List known vulnerabilities of all packages that locks pin: `make audit`.

Without `--database` the advisories for PyPI are downloaded from osv.dev into
`.cache/advisories.zip`; with it (repeatable) saved ones are read, without any network.
`releases/exceptions.yml` lists what is left open for a time, with the reason. Exit status 1:
something is vulnerable, an exception has expired, or the database is too old to say; 2: no audit.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from cairn import advisories, releases

PROJECT = Path(__file__).resolve().parents[1]
SOURCE = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
SAVED = PROJECT / ".cache/advisories.zip"
MAXIMUM_AGE = 14  # days; PyPI's advisories change every day


def download(target: Path, source: str = SOURCE) -> None:
    """Save the database at `target`; AuditError says how to do without."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    try:
        with urllib.request.urlopen(source, timeout=60) as answer, partial.open("wb") as file:  # noqa: S310 - https
            shutil.copyfileobj(answer, file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise advisories.AuditError(
            f"{source}: {getattr(error, 'reason', error)}; where that cannot be reached, save it "
            "elsewhere and name it: make audit ARGS='--database all.zip'"
        ) from None
    partial.replace(target)


def locks(project: Path) -> list[Path]:
    """Return every lock of the project, the control node's own among them."""
    return [*sorted(project.glob("releases/*/*.lock")), project / "requirements.lock"]


def shown(finding: advisories.Finding) -> str:
    """Return a finding as one line."""
    advisory = finding.advisory
    fixed = f", fixed in {', '.join(advisory.fixed)}" if advisory.fixed else ""
    text = (
        f"{finding.package} {finding.version}: {', '.join(advisory.names)}{fixed}"
        f" [{', '.join(finding.locks)}]: {advisory.summary[:200]}"
    )
    if exemption := finding.exemption:
        text += f"\n  left open until {exemption.until}: {exemption.reason}"
    return text


def main(arguments: Sequence[str] | None = None, today: datetime.date | None = None) -> int:
    """Print findings and expired exceptions; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--database",
        type=Path,
        action="append",
        help="saved advisories: a zip file or folder of OSV records, or of OpenStack's own",
    )
    parser.add_argument(
        "--max-age",
        type=int,
        default=MAXIMUM_AGE,
        metavar="DAYS",
        help=f"age of the database's newest advisory that is accepted (default: {MAXIMUM_AGE})",
    )
    parser.add_argument("--project", type=Path, default=PROJECT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    day = today or datetime.datetime.now(tz=datetime.UTC).date()
    project: Path = options.project
    try:
        if not options.database:
            download(SAVED)
        database = advisories.read_database(options.database or [SAVED])
        exemptions = advisories.read_exemptions(project / "releases/exceptions.yml")
    except advisories.AuditError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    pinned = {
        str(path.relative_to(project)): releases.pins(path.read_text()) for path in locks(project)
    }
    findings = advisories.audit(pinned, database, exemptions)
    failed = False
    for finding in findings:
        failed = failed or finding.exemption is None
        print(shown(finding))
    for exemption in advisories.expired(exemptions, day):
        failed = True
        print(f"{exemption.package}: the exception for {exemption.name} ended on {exemption.until}")
    age = (day - database.newest).days
    if age > options.max_age:
        failed = True
        print(f"the newest advisory is {age} days old ({database.newest}): save the database again")
    open_ones = sum(finding.exemption is None for finding in findings)
    print(
        f"{len(pinned)} locks, {len({p for one in pinned.values() for p in one})} packages: "
        f"{open_ones} vulnerable, {len(findings) - open_ones} left open by exception; "
        f"advisories of {database.newest}"
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
