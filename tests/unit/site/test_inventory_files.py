"""A problem is followed by the file to look into."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn.site.inventory_files import variable_file, variable_files


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "hosts.yml": "all:\n  vars:\n    cairn_region: X\n",
        "group_vars/all/planes.yml": "cairn_planes: {}\n",
        "group_vars/compute.yml": "cairn_nics: {}\n",
        "host_vars/compute1.yml": "cairn_host_number: 13\n# cairn_bonds: {}\n",
        "host_vars/compute2/main.yml": "cairn_host_number: 14\n",
    }.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site"


@pytest.mark.parametrize(
    ("variable", "host", "groups", "file"),
    [
        ("cairn_planes", "", [], "site/group_vars/all/planes.yml"),
        ("cairn_region", "", [], "site/hosts.yml"),
        ("cairn_host_number", "compute1", ["compute"], "site/host_vars/compute1.yml"),
        ("cairn_host_number", "compute2", ["compute"], "site/host_vars/compute2/main.yml"),
        ("cairn_nics", "compute1", ["compute"], "site/group_vars/compute.yml"),
        ("cairn_nothing", "", [], ""),
    ],
)
def test_where_a_variable_stands(
    inventory: Path, variable: str, host: str, groups: list[str], file: str
) -> None:
    assert variable_file(inventory, variable, host, groups) == file


@pytest.mark.parametrize(
    ("files", "groups", "expected"),
    [
        # Callers name the strongest group first.
        (["group_vars/a.yml", "group_vars/b.yml"], ["b", "a"], "group_vars/b.yml"),
        (["group_vars/a/1.yml", "group_vars/a/2.yml"], ["a"], "group_vars/a/2.yml"),
        (["group_vars/a/x/1.json", "group_vars/a/b.yml"], ["a"], "group_vars/a/x/1.json"),
        (["group_vars/a"], ["a"], "group_vars/a"),
        # Ansible reads no file beside a folder of its name.
        (["group_vars/a.yml", "group_vars/a/1.yml"], ["a"], "group_vars/a/1.yml"),
        (["group_vars/a.yml~", "group_vars/a.txt", "group_vars/all.yml"], [], "group_vars/all.yml"),
    ],
)
def test_the_file_is_the_one_whose_value_counts(
    tmp_path: Path, files: list[str], groups: list[str], expected: str
) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('"nova_workers": 1\n')
    assert variable_file(tmp_path, "nova_workers", "h", groups) == str(tmp_path / expected)


def test_a_missing_variable_belongs_into_the_hosts_file(inventory: Path) -> None:
    found = variable_file(inventory, "cairn_host_planes", "compute1", ["compute"])
    assert found == "site/host_vars/compute1.yml"
    certain = variable_file(inventory, "cairn_host_planes", "compute1", ["compute"], certain=True)
    assert certain == ""


def test_files_are_known_by_whose_they_are(inventory: Path) -> None:
    for name in (".gitkeep", "README.md", "compute.yml.orig", "computes/main.yml", "empty/.keep"):
        path = inventory / "group_vars" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (inventory / "host_vars/compute3.example.com.yml").write_text("")
    assert list(variable_files(inventory)) == [
        ("group", "all", "site/group_vars/all"),
        ("group", "compute", "site/group_vars/compute.yml"),
        ("group", "computes", "site/group_vars/computes"),
        ("host", "compute1", "site/host_vars/compute1.yml"),
        ("host", "compute2", "site/host_vars/compute2"),
        ("host", "compute3.example.com", "site/host_vars/compute3.example.com.yml"),
    ]
    assert list(variable_files(inventory / "nowhere")) == []
