"""`make audit`: known vulnerabilities of what is locked, from a database that the test makes."""

from __future__ import annotations

import datetime
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.version import Version

from cairn import advisories, releases

TODAY = datetime.date(2030, 6, 1)
RECORD: dict[str, Any] = {
    "id": "PYSEC-2030-1",
    "aliases": ["CVE-2030-1", "GHSA-1"],
    "modified": "2030-05-30T10:00:00Z",
    "summary": "Reads what it should not",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Some.Library"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [
                        *({"introduced": "0"}, {"fixed": "1.4"}),
                        *({"introduced": "2.0"}, {"fixed": "2.3"}),
                    ],
                }
            ],
            "versions": ["1.9.post1"],
        }
    ],
}
OSSA: dict[str, Any] = {
    "date": datetime.date(2030, 5, 20),
    "id": "OSSA-2030-002",
    "title": "Placement gives away too much",
    "affected-products": [
        {"product": "Placement", "version": "<=2014.2, >=13.0.0 <13.0.2, ==14.0.0"}
    ],
    "vulnerabilities": [{"cve-id": "CVE-2030-2"}],
}
EXCEPTION: dict[str, Any] = {
    "id": "CVE-2030-1",
    "package": "some-library",
    "since": datetime.date(2030, 5, 1),
    "until": datetime.date(2030, 7, 1),
    "reason": "nothing calls it",
}


@pytest.fixture
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tools/audit.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "releases/2030.1").mkdir(parents=True)
    lock = "some-library==2.1 \\\n    --hash=sha256:00\n"
    (tmp_path / "releases/2030.1/nova.lock").write_text(lock)
    (tmp_path / "releases/exceptions.yml").write_text("[]\n")
    (tmp_path / "requirements.lock").write_text("other==1.0 \\\n    --hash=sha256:00\n")
    return tmp_path


def saved(folder: Path, *records: dict[str, Any]) -> str:
    """Return the path of a database as osv.dev exports it."""
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for record in records:
            archive.writestr(f"{record['id']}.json", json.dumps(record, default=str))
    return str(path)


def audit(tool: ModuleType, project: Path, *databases: str, extra: tuple[str, ...] = ()) -> int:
    named = [word for path in databases for word in ("--database", path)]
    status: int = tool.main(["--project", str(project), *named, *extra], TODAY)
    return status


def test_a_hole_is_found_and_fails(
    tool: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(tool, project, saved(tmp_path, RECORD)) == 1
    said = capsys.readouterr().out
    assert "some-library 2.1: PYSEC-2030-1, CVE-2030-1, GHSA-1, fixed in 1.4, 2.3" in said
    assert "[releases/2030.1/nova.lock]: Reads what it should not" in said
    assert "1 vulnerable, 0 left open" in said


def test_the_control_nodes_own_lock_is_audited(
    tool: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "requirements.lock").write_text("some-library==1.0 \\\n")
    (project / "releases/2030.1/nova.lock").write_text("")
    assert audit(tool, project, saved(tmp_path, RECORD)) == 1
    assert "[requirements.lock]" in capsys.readouterr().out


def test_what_is_mended_passes(tool: ModuleType, project: Path, tmp_path: Path) -> None:
    (project / "releases/2030.1/nova.lock").write_text("some-library==2.3 \\\n")
    assert audit(tool, project, saved(tmp_path, RECORD)) == 0


def test_an_excepted_hole_passes_and_is_shown(
    tool: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "releases/exceptions.yml").write_text(yaml.safe_dump([EXCEPTION]))
    assert audit(tool, project, saved(tmp_path, RECORD)) == 0
    assert "left open until 2030-07-01: nothing calls it" in capsys.readouterr().out


def test_an_exception_is_for_its_package_only(
    tool: ModuleType, project: Path, tmp_path: Path
) -> None:
    other = EXCEPTION | {"package": "other"}
    (project / "releases/exceptions.yml").write_text(yaml.safe_dump([other]))
    assert audit(tool, project, saved(tmp_path, RECORD)) == 1


def test_an_expired_exception_fails_even_when_nothing_needs_it(
    tool: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over = EXCEPTION | {"until": datetime.date(2030, 5, 31)}
    (project / "releases/exceptions.yml").write_text(yaml.safe_dump([over]))
    (project / "releases/2030.1/nova.lock").write_text("")
    assert audit(tool, project, saved(tmp_path, RECORD)) == 1
    said = capsys.readouterr().out
    assert "some-library: the exception for CVE-2030-1 ended on 2030-05-31" in said


def test_an_old_database_is_no_all_clear(
    tool: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "releases/2030.1/nova.lock").write_text("")
    old = saved(tmp_path, RECORD | {"modified": "2030-04-01T00:00:00Z"})
    assert audit(tool, project, old) == 1
    assert "61 days old (2030-04-01): save the database again" in capsys.readouterr().out
    assert audit(tool, project, old, extra=("--max-age", "90")) == 0


def test_openstacks_own_advisories_are_a_database_too(
    tool: ModuleType, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ossa"
    folder.mkdir()
    (folder / "OSSA-2030-002.yaml").write_text(yaml.safe_dump(OSSA))
    (project / "releases/2030.1/nova.lock").write_text("openstack-placement==13.0.1 \\\n")
    assert audit(tool, project, str(folder), saved(tmp_path, RECORD)) == 1
    said = capsys.readouterr().out
    assert "openstack-placement 13.0.1: OSSA-2030-002, CVE-2030-2 " in said


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        *(("1.3.9", True), ("1.4", False), ("1.9.post1", True), ("1.10", False)),
        *(("2.0", True), ("2.2", True), ("2.3", False), ("2.3rc1", False)),
    ],
)
def test_spans_and_listed_versions_count(version: str, affected: bool) -> None:
    database = advisories.Database()
    database.add(RECORD)
    assert bool(database.about("some-library", Version(version))) is affected


@pytest.mark.parametrize(
    ("version", "affected"),
    [("12.9", False), ("13.0.0", True), ("13.0.2", False), ("14.0.0", True), ("14.0.1", False)],
)
def test_spans_of_openstacks_own_count(version: str, affected: bool) -> None:
    database = advisories.Database()
    database.add(OSSA)
    assert bool(database.about("openstack-placement", Version(version))) is affected


def test_one_hole_under_two_names_is_shown_once() -> None:
    database = advisories.Database()
    database.add(RECORD)
    database.add(RECORD | {"id": "GHSA-1", "aliases": ["CVE-2030-1"]})
    assert len(database.about("some-library", Version("2.1"))) == 1


def test_withdrawn_advisories_do_not_count() -> None:
    database = advisories.Database()
    database.add(RECORD | {"withdrawn": "2030-05-31T00:00:00Z"})
    assert database.about("some-library", Version("2.1")) == []


@pytest.mark.parametrize("content", [None, "{}", "not: [closed"])
def test_a_database_that_is_none_ends_the_audit(
    tool: ModuleType,
    project: Path,
    tmp_path: Path,
    content: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "saved.yaml"
    if content is not None:
        path.write_text(content)
    assert audit(tool, project, str(path)) == 2
    assert "saved.yaml" in capsys.readouterr().err


def test_without_a_network_the_error_names_the_way_around(
    tool: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(tool, "SAVED", tmp_path / "saved.zip")
    monkeypatch.setattr(
        tool,
        "download",
        lambda target, real=tool.download: real(target, "http://127.0.0.1:9/all.zip"),
    )
    assert audit(tool, project) == 2
    assert "make audit ARGS='--database all.zip'" in capsys.readouterr().err
    assert list(tmp_path.glob("saved*")) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"reason": " "}, "reason: says nothing"),
        ({"until": "soon"}, "until: 'soon' is no date"),
        ({"because": "x"}, "needs id, package, reason, since, until"),
    ],
)
def test_a_wrong_exception_is_refused(tmp_path: Path, change: dict[str, Any], error: str) -> None:
    path = tmp_path / "exceptions.yml"
    path.write_text(yaml.safe_dump([EXCEPTION | change]))
    with pytest.raises(advisories.AuditError, match=error):
        advisories.read_exemptions(path)


def test_the_projects_exceptions_are_right_and_in_force_for_a_year_at_most(root: Path) -> None:
    exemptions = advisories.read_exemptions(root / "releases/exceptions.yml")
    for one in exemptions:
        assert (one.until - one.since).days <= 366, one.name
    pinned = {
        package
        for path in (*root.glob("releases/*/*.lock"), root / "requirements.lock")
        for package in releases.pins(path.read_text())
    }
    assert {one.package for one in exemptions} <= pinned
