"""`make service` writes a service that lint and unit tests accept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

MAKE = ("make", "--assume-old=tools", "service")
WISH = ("NAME=etcd", "PORT=2379", "PACKAGE=etcd-server", "UNIT=etcd")
# Tests that go through all services, scenarios, variables, flows or pages, wherever they lie.
WALKS = ("flows", "order", "docs", "reference", "guide", "release", "closure")
# Of a test with many cases those that name the new service, or a file that was changed for it.
CASES = """
from collections import Counter


def pytest_collection_modifyitems(items):
    cases = Counter((item.path, item.originalname) for item in items)
    items[:] = [
        item
        for item in items
        if cases[item.path, item.originalname] <= 12 or any(name in item.name for name in {names})
    ]
"""
TEST = """
def test_it(make_model):
    model = make_model('controller1')
    manifest = model.manifest('etcd')
    (file,) = manifest['files']
    assert file['path'] == '/etc/etcd/etcd.conf'
    assert 'bind 192.0.2.1\\nport 2379\\n' in file['content']
    assert [unit['unit'] for unit in manifest['units']] == ['etcd.service']
    assert manifest['packages'] == ['etcd-server']
    assert make_model('compute1').manifest('etcd') is None
"""


@pytest.fixture(scope="module")
def made(copy: Any) -> Any:
    """A copy of the project with a service more."""
    copy.run(*MAKE, *WISH)
    copy.run("git", "add", "--all")
    return copy


@pytest.fixture(scope="module")
def written(made: Any, root: Path) -> list[str]:
    """Every file that is new, or changed."""
    return [
        name
        for name in made.run("git", "ls-files").stdout.splitlines()
        if not (root / name).is_file()
        or (root / name).read_bytes() != (made.root / name).read_bytes()
    ]


def test_the_guide_names_every_file_that_is_written(made: Any, root: Path) -> None:
    page = (root / "docs/contributing/add-a-service.md").read_text()
    assert f"make service {' '.join(WISH)}" in page
    table = page.partition("| file |")[2].partition("\n\n")[0].replace("<name>", "etcd")
    named = re.findall(r"`([\w./+-]+)`", table)
    known = {*root.glob("roles/*"), *root.glob("changelog.d/*"), *root.glob("molecule/*")}
    new = {
        str(path.relative_to(made.root))
        for folder in ("roles", "changelog.d", "molecule")
        for path in made.root.glob(f"{folder}/*")
        if root / path.relative_to(made.root) not in known
    }
    assert new == {"roles/etcd", "molecule/etcd", "changelog.d/+etcd.added.md"}
    for path in new:
        assert any(name.startswith(path) for name in named), path
    assert all((made.root / name).exists() for name in named if "/" in name and "meta" not in name)
    assert (made.root / "docs/reference/roles/etcd.md").exists()
    assert "| 2379 |" in (made.root / "docs/reference/ports.md").read_text()


def test_lint_is_green(made: Any, written: list[str]) -> None:
    made.run("ruff", "check", ".")
    made.run("ruff", "format", "--check", ".")
    files = [name for name in written if name.endswith(".yml")]
    assert {"playbooks/site.yml", "roles/etcd/vars/main.yml"} <= set(files)
    made.run("yamllint", "--strict", *files)
    # The whole of site.yml would take ansible-lint half a minute; the play alone says as much.
    plays = (made.root / "playbooks/site.yml").read_text().split("\n\n")
    (play,) = [play for play in plays if "roles: [etcd]" in play]
    alone = made.root / "playbooks/etcd.yml"
    alone.write_text(f"---\n{play.replace('*turns', '1')}\n")
    made.run("ansible-lint", "--strict", "roles/etcd", "molecule/etcd", "playbooks/etcd.yml")
    alone.unlink()


def test_unit_tests_are_green_and_its_host_gets_what_the_description_says(
    made: Any, written: list[str]
) -> None:
    walks = [
        str(path) for name in WALKS for path in made.root.glob(f"tests/unit/**/test_{name}.py")
    ]
    assert len(walks) >= len(WALKS)
    own = made.root / "tests/unit/roles/test_etcd.py"
    own.write_text(TEST)
    plugin = made.root / "cases.py"
    plugin.write_text(CASES.format(names=sorted({"etcd", *(Path(name).name for name in written)})))
    # A release is made of commits, which the copy has none of; and `make service` has just made
    # the pages of the reference.
    left_out = "not a_release and not the_committed_pages"
    chosen = ("-m", "not lab", "-k", left_out, "-p", "no:cacheprovider", "-p", "cases")
    ran = made.run("pytest", "-v", *chosen, *walks, str(own)).stdout
    own.unlink()
    plugin.unlink()
    passed = re.findall(r"(?m)^(\S+\.py)::(.*) PASSED", ran)
    assert {made.root / name for name, _ in passed} >= {Path(name) for name in walks}, ran
    assert sum("etcd" in case for _, case in passed) > 10, ran


def test_it_has_a_play_in_turns(made: Any) -> None:
    plays = yaml.safe_load((made.root / "playbooks/site.yml").read_text())
    (play,) = [play for play in plays if play.get("roles") == ["etcd"]]
    (like,) = [play for play in plays if play.get("roles") == ["memcached"]]
    assert play["hosts"] == "controller:&stale_etcd"
    assert play["serial"] == like["serial"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("NAME=nova", "PORT=2379"), "roles/nova is there already"),
        (("NAME=No-name", "PORT=2379"), "'No-name' is no name of a service"),
        (("NAME=valkey", "PORT=6379"), "port 6379 is VNC's"),
        (("PORT=2379",), "NAME=… is missing"),
        (("NAME=valkey",), "PORT=… is missing"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(made: Any, words: tuple[str, ...], error: str) -> None:
    before = made.run("git", "status", "--porcelain").stdout
    refused = made.run(*MAKE, *words, check=False)
    assert refused.returncode
    assert error in refused.stderr
    assert made.run("git", "status", "--porcelain").stdout == before
