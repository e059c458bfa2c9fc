"""Every file that the roles render is held against the release's own code.

The virtualenvs are the locked ones; `make venvs` puts them under .cache/venvs, and without them
these tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cairn.model import Model

SERVICES = ("keystone", "glance", "placement", "nova", "neutron")
HOSTS = ("controller1", "compute1")


@pytest.fixture(scope="module")
def venvs(root: Path) -> Path:
    folder = root / ".cache" / "venvs" / "2026.1"
    missing = [s for s in SERVICES if not (folder / s / "bin" / "oslo-config-validator").exists()]
    if missing:
        pytest.skip(f"no virtualenv for {', '.join(missing)}: make venvs")
    return folder


@pytest.fixture(scope="module")
def ini_files(make_model: Callable[..., Model]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """All INI files of all roles, by role, host and path."""
    found = {}
    for name in HOSTS:
        model = make_model(name, controllers=3)
        for role in SERVICES:
            manifest = model.manifest(role) or {"files": []}
            for file in manifest["files"]:
                if file.get("format") == "ini":
                    found[role, name, file["path"]] = file
    return found


def test_there_is_a_file_to_validate_for_every_service(
    ini_files: dict[tuple[str, str, str], dict[str, Any]],
) -> None:
    assert {role for role, _, _ in ini_files} == set(SERVICES)


def hold(venv: Path, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the code in `venv` says of files, by path; see validate.py."""
    done = subprocess.run(
        [str(venv / "bin" / "python"), str(Path(__file__).with_name("validate.py"))],
        input=json.dumps(files),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def options_of(text: str) -> set[tuple[str, str]]:
    section, found = "DEFAULT", set()
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            found.add((section, line.split("=", 1)[0].strip()))
    return found


@pytest.mark.parametrize("role", SERVICES)
def test_the_code_knows_every_option_and_none_is_on_its_way_out(
    role: str,
    venvs: Path,
    ini_files: dict[tuple[str, str, str], dict[str, Any]],
    tmp_path: Path,
) -> None:
    files = {}
    for (owner, name, path), file in ini_files.items():
        if owner == role:
            place = tmp_path / f"{name}-{path}"
            place.write_text(file["content"])
            files[str(place)] = {"namespaces": file["namespaces"], "like": file.get("like", {})}
    for place, answer in hold(venvs / role, files).items():
        assert answer["refused"] == "", place
        used = options_of(Path(place).read_text())
        assert used & {tuple(option) for option in answer["leaving"]} == set(), place


def test_an_unknown_and_a_leaving_option_would_be_found(venvs: Path, tmp_path: Path) -> None:
    place = tmp_path / "neutron.conf"
    place.write_text("[DEFAULT]\nno_such_option = 1\nuse_ssl = true\n")
    told = {str(place): {"namespaces": ["neutron"], "like": {}}}
    (answer,) = hold(venvs / "neutron", told).values()
    assert "no_such_option" in answer["refused"]
    assert ["DEFAULT", "use_ssl"] in answer["leaving"]


@pytest.mark.parametrize(
    ("role", "files"),
    [
        ("glance", ["etc/glance/glance-api-paste.ini", "etc/glance/metadefs"]),
        ("nova", ["etc/nova/api-paste.ini"]),
        ("neutron", ["etc/neutron/api-paste.ini"]),
    ],
)
def test_the_virtualenv_brings_the_files_that_a_role_takes_from_it(
    role: str, files: list[str], venvs: Path
) -> None:
    assert [file for file in files if not (venvs / role / file).exists()] == []


@pytest.mark.parametrize("role", SERVICES)
def test_the_virtualenv_speaks_to_database_and_cache(role: str, venvs: Path) -> None:
    """oslo loads these by name, when a service starts; no package requires them."""
    code = "import memcache, pymysql; from oslo_cache.backends import memcache_pool"
    if role == "placement":  # it caches nothing but tokens
        code = "import memcache, pymysql"
    python = venvs / role / "bin" / "python"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", SERVICES)
def test_the_virtualenv_brings_every_program_that_a_unit_or_migration_starts(
    role: str, venvs: Path, make_model: Callable[..., Model]
) -> None:
    for name in HOSTS:
        manifest = make_model(name).manifest(role)
        if manifest is None:
            continue
        started = [
            line.removeprefix("ExecStart=").split()[0]
            for unit in manifest["units"]
            for line in (unit["text"] or "").splitlines()
            if line.startswith("ExecStart=")
        ]
        started += [step["command"].split()[0] for step in manifest["migrations"]]
        for program in started:
            found = venvs / role / "bin" / Path(program).name
            assert found.exists(), f"{program}: {role}'s virtualenv has no {found.name}"
