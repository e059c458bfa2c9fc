"""A release: licence, version, changelog and tag, and what is promised about it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    """Return what pyproject.toml says."""
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> tuple[Path, Run]:
    """Return a clone of the last commit, and a function that runs a command in it."""
    place = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", root, place], check=True)
    (place / ".venv").symlink_to(root / ".venv")
    settings = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "GIT_")) and name != "VERSION"
    }
    for who in ("AUTHOR", "COMMITTER"):
        settings |= {f"GIT_{who}_NAME": "Somebody", f"GIT_{who}_EMAIL": "somebody@example.org"}

    def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=place, env=settings, capture_output=True, text=True, check=check
        )

    return place, run


def release(run: Run, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Make a release in the clone, whose tools are there already."""
    return run("make", "--assume-old=setup", "release", *words, check=check)


def test_the_licence_is_the_one_that_metadata_and_roles_name(
    root: Path, project: dict[str, Any]
) -> None:
    assert project["project"]["license"] == "Apache-2.0"
    assert project["project"]["license-files"] == ["LICENSE"]
    assert hashlib.sha256((root / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    metas = sorted(root.glob("roles/*/meta/main.yml"))
    assert metas
    licences = {yaml.safe_load(path.read_text())["galaxy_info"]["license"] for path in metas}
    assert licences == {"Apache-2.0"}


def test_every_fragment_is_in_the_next_entry(root: Path, project: dict[str, Any]) -> None:
    kinds = {kind["directory"]: kind["name"] for kind in project["tool"]["towncrier"]["type"]}
    fragments = [path for path in (root / "changelog.d").iterdir() if path.name != "README.md"]
    shown = subprocess.run(
        ["towncrier", "build", "--draft", "--version", "9.9.9"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    entry: dict[str, str] = {}
    for part in shown.split("### ")[1:]:
        title, _, body = part.partition("\n")
        entry[title] = body
    for path in fragments:
        subject, kind, ending = path.name.rsplit(".", 2)
        assert re.fullmatch(r"\+[a-z0-9-]+|\d+", subject), f"{path.name}: see changelog.d/README.md"
        assert ending == "md"
        assert path.read_text().split()[0] in entry[kinds[kind]], path.name


def test_a_release_writes_changelog_version_and_tag(clone: tuple[Path, Run]) -> None:
    place, run = clone
    fragment = place / "changelog.d/+vlan-trunks.added.md"
    fragment.write_text("Planes may have two VLAN ids.\n")
    run("git", "add", "changelog.d")
    run("git", "commit", "--message", "A change")
    release(run, "VERSION=9.9.9")
    assert run("git", "describe", "--exact-match").stdout == "v9.9.9\n"
    assert run("git", "status", "--porcelain", "--untracked-files=no").stdout == ""
    assert tomllib.loads((place / "pyproject.toml").read_text())["project"]["version"] == "9.9.9"
    assert [path.name for path in (place / "changelog.d").iterdir()] == ["README.md"]
    changelog = (place / "CHANGELOG.md").read_text()
    entry = changelog.split("\n## ")[1]
    assert entry.startswith("9.9.9 (")
    assert "\n### Added\n" in entry
    assert "\n- Planes may have two VLAN ids.\n" in entry


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["VERSION="], "VERSION=… is missing"),
        (["VERSION=1.2.3"], "v1.2.3 is there already"),
        (["VERSION=9.9.9", "changed"], "commit your changes first"),
    ],
)
def test_a_release_is_refused(clone: tuple[Path, Run], words: list[str], why: str) -> None:
    place, run = clone
    run("git", "tag", "v1.2.3")
    if words[1:]:
        (place / "README.md").write_text("changed")
    before = run("git", "rev-parse", "HEAD").stdout
    refused = release(run, words[0], check=False)
    assert refused.returncode
    assert f"release: {why}" in refused.stderr
    assert run("git", "rev-parse", "HEAD").stdout == before


def test_the_version_has_an_entry_or_fragments_for_one(root: Path, project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    entries = re.findall(r"^## (\S+) \(", (root / "CHANGELOG.md").read_text(), re.M)
    pending = [path for path in (root / "changelog.d").iterdir() if path.name != "README.md"]
    assert version in entries[:1] or (version not in entries and pending)


def test_the_security_policy_names_the_version(root: Path, project: dict[str, Any]) -> None:
    series = ".".join(project["project"]["version"].split(".")[:2])
    assert f"| {series}.x | yes |" in (root / "SECURITY.md").read_text()


# -- the support matrix


def rows(root: Path) -> dict[str, str]:
    """Return the versions in the first table of the page, by part."""
    table = (root / "docs/reference/support.md").read_text().split("\n\n")[1]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return {row[0]: row[1] for row in cells if len(row) > 1}


def test_the_matrix_names_the_releases_that_there_are(root: Path) -> None:
    releases = sorted(path.parent.name for path in root.glob("releases/*/release.yml"))
    assert rows(root)["OpenStack"] == ", ".join(releases)


def test_the_matrix_names_the_hosts_that_roles_are_for(root: Path) -> None:
    platforms = {
        (platform["name"], version)
        for path in root.glob("roles/*/meta/main.yml")
        for platform in yaml.safe_load(path.read_text())["galaxy_info"]["platforms"]
        for version in platform["versions"]
    }
    assert platforms == {("Debian", "trixie")}
    pythons = {
        yaml.safe_load(path.read_text())["python"] for path in root.glob("releases/*/release.yml")
    }
    assert rows(root)["managed hosts"] == (
        f"Debian 13 (trixie) on x86_64, Python {', '.join(sorted(pythons))}"
    )


def test_the_matrix_names_the_control_nodes_python_and_ansible(
    root: Path, project: dict[str, Any], script: Callable[[str], Any]
) -> None:
    pythons = sorted(script("tools/setup").PYTHONS)
    named = re.findall(r"\d\.\d+", rows(root)["control node"].partition("Python; ")[2])
    assert named == [f"{major}.{minor}" for major, minor in pythons]
    assert project["project"]["requires-python"] == f">={named[0]}"
    (core,) = [
        requirement.partition("==")[2].removesuffix(".*")
        for requirement in project["project"]["dependencies"]
        if requirement.startswith("ansible-core")
    ]
    assert rows(root)["ansible-core"] == core
    minimum = {
        yaml.safe_load(path.read_text())["galaxy_info"]["min_ansible_version"]
        for path in root.glob("roles/*/meta/main.yml")
    }
    assert minimum == {core}


def test_what_is_tested_is_run_by_targets_that_there_are(root: Path) -> None:
    page = (root / "docs/reference/support.md").read_text()
    named = set(" ".join(re.findall(r"`make ([a-z -]+)`", page)).split())
    assert {"lint", "unit", "test", "ha", "day-two", "bad-days", "bench", "audit"} <= named
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    assert named <= targets


# -- before a commit


def hooks(root: Path) -> list[dict[str, Any]]:
    """Return the hooks."""
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"], "needs no network"
    return [hook for repo in config["repos"] for hook in repo["hooks"]]


@pytest.mark.parametrize(
    ("name", "text", "refused_by"),
    [
        ("fine.py", '"""Fine."""\n', None),
        ("unused.py", '"""Unused."""\n\nimport os\n', "ruff"),
        ("unformatted.py", '"""Unformatted."""\n\nX = {"a":1}\n', "ruff format"),
        ("fine.yml", "---\na: true\n", None),
        ("truth.yml", "---\na: yes\n", "yamllint"),
        ("changelog.d/+a.added.md", "A change.\n", None),
        ("changelog.d/+a.strange.md", "A change.\n", "changelog fragments"),
    ],
)
def test_a_hook_refuses_what_lint_would_refuse(
    root: Path, tmp_path: Path, name: str, text: str, refused_by: str | None
) -> None:
    for shared in (".pre-commit-config.yaml", ".yamllint", ".gitignore", "pyproject.toml"):
        (tmp_path / shared).write_bytes((root / shared).read_bytes())
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "CHANGELOG.md").write_bytes((root / "CHANGELOG.md").read_bytes())
    (tmp_path / ".venv").symlink_to(root / ".venv")
    path = tmp_path / name
    path.write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", name], cwd=tmp_path, check=True)
    ran = subprocess.run(
        ["prek", "run", "--files", name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    results = dict(re.findall(r"^(\S.*?)\.+.*?(Passed|Failed|Skipped)$", ran.stdout, re.M))
    assert set(results) == {hook["name"] for hook in hooks(root)}, ran.stdout + ran.stderr
    assert [hook for hook, result in results.items() if result == "Failed"] == (
        [refused_by] if refused_by else []
    ), ran.stdout
    assert "Passed" in results.values() or refused_by


@pytest.mark.parametrize("name", ["Makefile", "playbooks/site.yml", "tools/lock.py"])
def test_files_are_as_editorconfig_says(root: Path, name: str) -> None:
    tabs = name == "Makefile"
    text = (root / name).read_text()
    assert text.endswith("\n")
    assert ("\n\t" in text) is tabs
    section = "[Makefile]" if tabs else "[*]"
    style = (root / ".editorconfig").read_text().partition(section)[2].partition("\n[")[0]
    assert f"indent_style = {'tab' if tabs else 'space'}" in style
