"""Variables by their former names: for one release they count as the present ones do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict
from ansible.utils.vars import load_extra_vars
from packaging.version import Version

import cairn
from cairn.preflight.finding import ERROR, WARNING
from cairn.preflight.inventory import check_renamed
from cairn.service import registry
from cairn.site import precedence, renamed

from .conftest import Write

# Weakest first; what each level says is its own name.
LEVELS = {
    "hosts.yml of all": "hosts.yml",
    "hosts.yml of compute": "hosts.yml",
    "all": "group_vars/all/main.yml",
    "compute": "group_vars/compute.yml",
    "c1": "host_vars/c1.yml",
}
FORMER = sorted(renamed.table())


def site(**said: str) -> dict[str, str]:
    """Files of an inventory in which each level sets the variable that `said` gives it."""
    files: dict[str, Any] = {
        "hosts.yml": {"all": {"children": {"compute": {"hosts": {"c1": {}, "c2": {}}}}}}
    }
    for level, variable in said.items():
        if level == "hosts.yml of all":
            files["hosts.yml"]["all"]["vars"] = {variable: level}
        elif level == "hosts.yml of compute":
            files["hosts.yml"]["all"]["children"]["compute"]["vars"] = {variable: level}
        else:
            files[LEVELS[level]] = {variable: level}
    return {path: json.dumps(content) for path, content in files.items()}


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give variables on the command line."""

    def give(**variables: Any) -> None:
        monkeypatch.setattr(context, "CLIARGS", ImmutableDict(extra_vars=(json.dumps(variables),)))
        load_extra_vars.extra_vars = {}

    yield give
    load_extra_vars.extra_vars = {}


def test_there_is_something_to_test() -> None:
    assert FORMER


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize("level", LEVELS)
def test_a_former_name_counts_as_the_present_one(hostvars: Write, former: str, level: str) -> None:
    found, name = hostvars(site(**{level: former})), renamed.table()[former].name
    assert found["c1"].get(name) == level
    assert found["c2"].get(name) == (None if level == "c1" else level)


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize("strongest", range(1, len(LEVELS) + 1))
def test_former_names_have_the_precedence_of_the_places_that_they_stand_in(
    hostvars: Write, former: str, strongest: int
) -> None:
    said = list(LEVELS)[:strongest]
    found, name = hostvars(site(**dict.fromkeys(said, former))), renamed.table()[former].name
    assert precedence.values_of(name, precedence.layers(found, "c1")) == said
    assert found["c1"][name] == said[-1]
    assert found["c2"][name] == [level for level in said if level != "c1"][-1]


@pytest.mark.parametrize("former", FORMER)
def test_a_former_name_on_the_command_line_is_the_strongest(
    hostvars: Write, extra: Any, former: str
) -> None:
    extra(**{former: "given"})
    found = hostvars(site(**dict.fromkeys(LEVELS, former)))
    assert [found[host][renamed.table()[former].name] for host in ("c1", "c2")] == ["given"] * 2


@pytest.mark.parametrize("former", FORMER[:1])
def test_a_playbook_reads_the_present_name(tmp_path: Path, root: Path, former: str) -> None:
    """As Ansible runs, with this project's configuration, its vars plugins in their own order."""
    (tmp_path / "hosts.yml").write_text("compute: {hosts: {c1: {ansible_connection: local}}}\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/compute.yml").write_text(f"{former}: of the group\n")
    name = renamed.table()[former].name
    ansible = [str(Path(sys.executable).with_name("ansible")), "-i", str(tmp_path), "c1"]
    said = {}
    for given in ([], ["-e", f"{former}=given"]):
        done = subprocess.run(
            [*ansible, "-m", "debug", "-a", f"var={name}", *given],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        said[bool(given)] = yaml.safe_load(done.stdout.partition("=>")[2])[name]
    assert said == {False: "of the group", True: "given"}


@pytest.mark.parametrize("former", FORMER)
def test_the_file_of_a_renamed_variable_is_named(hostvars: Write, former: str) -> None:
    files = site() | {"group_vars/compute.yml": f"{former}: true\n"}
    file = precedence.file_in_force(hostvars(files), renamed.table()[former].name, "c1")
    assert file == "site/group_vars/compute.yml"


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize("other", ["all", "c1", "command line", None])
def test_both_names_at_once_are_seen(
    hostvars: Write, extra: Any, former: str, other: str | None
) -> None:
    name = renamed.table()[former].name
    given = {name: "x"} if other == "command line" else {}
    extra(**given)
    said = {"compute": former} | ({other: name} if other in LEVELS else {})
    found = precedence.stated_names(hostvars(site(**said)), "c1", given)
    assert renamed.used(found) == {former: other is not None}


def test_files_of_one_folder_are_read_one_by_one(hostvars: Write) -> None:
    """As they are of overrides, which are merged."""
    former = FORMER[0]
    files = site() | {
        "group_vars/compute/a.yml": f"{former}: {{a: 1}}\n",
        "group_vars/compute/b.yml": f"{former}: {{b: 1}}\n",
    }
    name = renamed.table()[former].name
    found = precedence.values_of(name, precedence.layers(hostvars(files), "c1"))
    assert found == [{"a": 1}, {"b": 1}]


def test_preflight_names_the_present_name_and_refuses_both() -> None:
    table = {"old": renamed.Renamed("new", "9.0.0")}
    (one,) = check_renamed({"old": False}, {"old": "site/all.yml"}, table)
    assert (one.severity, one.text) == (WARNING, "variable old is called new now (site/all.yml)")
    assert "9.0.0" in one.remedy
    (both,) = check_renamed({"old": True}, {}, table)
    assert both.severity == ERROR
    assert both.text == "variable old is the former name of new, and both are set"
    assert check_renamed({}, {}, table) == []


@pytest.mark.parametrize("former", FORMER)
def test_the_table_is_true_of_this_release(former: str) -> None:
    """Each present name is a variable, no former one is; and a name ends when it was to end."""
    known, run = registry.variables()
    name, until = renamed.table()[former]
    assert name in known
    assert former not in known | run
    assert Version(until) > Version(cairn_version())


def cairn_version() -> str:
    """The version that pyproject.toml says."""
    import tomllib

    text = (cairn.PROJECT / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["version"])
