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


def options_on_their_way_out(python: Path, namespaces: list[str]) -> set[tuple[str, str]]:
    """(section, option) of everything that the code marks as deprecated for removal."""
    generator = [str(python.with_name("oslo-config-generator")), "--format", "json"]
    for namespace in namespaces:
        generator += ["--namespace", namespace]
    done = subprocess.run(generator, capture_output=True, text=True, check=True)
    data = json.loads(done.stdout[done.stdout.index("{") :])
    return {
        (section, name)
        for section, group in data["options"].items()
        for option in group["opts"]
        if option.get("deprecated_for_removal")
        for name in (option["name"], option.get("dest"))
    }


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
    python = venvs / role / "bin" / "python"
    leaving: dict[str, set[tuple[str, str]]] = {}
    for (owner, name, path), file in ini_files.items():
        if owner != role:
            continue
        place = tmp_path / f"{name}-{path}"
        place.write_text(file["content"])
        command = [str(python.with_name("oslo-config-validator")), "--input-file", str(place)]
        for namespace in file["namespaces"]:
            command += ["--namespace", namespace]
        done = subprocess.run(
            [*command, "--fatal-warnings"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {path}: {done.stdout}{done.stderr}"
        if path not in leaving:
            leaving[path] = options_on_their_way_out(python, file["namespaces"])
        assert not options_of(file["content"]) & leaving[path]


def test_the_validator_does_refuse_what_it_does_not_know(venvs: Path, tmp_path: Path) -> None:
    place = tmp_path / "nova.conf"
    place.write_text("[DEFAULT]\nno_such_option = 1\n")
    validator = venvs / "nova" / "bin" / "oslo-config-validator"
    done = subprocess.run(
        [str(validator), "--input-file", str(place), "--namespace", "nova.conf"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1


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
