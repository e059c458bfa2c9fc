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

from cairn.service import registry
from cairn.service.model import Model

DESCRIBED = registry.descriptions()
OPTIONAL = registry.optional(DESCRIBED)
# Those whose configuration oslo's validator can judge.
SERVICES = [
    role
    for role, described in DESCRIBED.items()
    if described.get("lock")
    and any(entry.get("namespaces") for entry in described.get("config") or [])
]
HOSTS = ("controller1", "compute1", "storage1")


@pytest.fixture(scope="module")
def venv_for(venv_of: Callable[[str], Path]) -> Callable[[str], Path]:
    """Give the virtualenv of a role, or skip where it was not made."""
    return lambda role: venv_of(str(DESCRIBED[role]["lock"]))


def ini_files(role: str, manifest_of: Callable[..., Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """All INI files of a role, by host and path."""
    found = {}
    for name in HOSTS:
        manifest = manifest_of(role, name, controllers=3, services=OPTIONAL)
        for file in (manifest or {"files": []})["files"]:
            if file.get("namespaces"):
                found[name, file["path"]] = file
    return found


def test_the_services_that_every_cloud_has_are_among_those_held_against_their_code() -> None:
    assert {"keystone", "glance", "placement", "nova", "neutron"} <= set(SERVICES)


@pytest.mark.parametrize("role", SERVICES)
def test_what_a_host_asks_of_the_code_was_asked_where_it_was_built(
    role: str, manifest_of: Callable[..., Any]
) -> None:
    kept = registry.namespaces(DESCRIBED, str(DESCRIBED[role]["lock"]))
    for where, file in ini_files(role, manifest_of).items():
        assert sorted(file["namespaces"]) in kept, where


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


def namespaces(role: str) -> list[str]:
    """Those of a role's first file: their options are kept in the virtualenv, once asked for."""
    found: list[str] = DESCRIBED[role]["config"][0]["namespaces"]
    return found


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
    venv_for: Callable[[str], Path],
    manifest_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    files = {}
    for (name, path), file in ini_files(role, manifest_of).items():
        place = tmp_path / f"{name}-{path.replace('/', '-')}"
        place.write_text(file["content"])
        files[str(place)] = {"namespaces": file["namespaces"], "like": file.get("like", {})}
    assert files
    for place, answer in hold(venv_for(role), files).items():
        assert answer["refused"] == "", place
        used = options_of(Path(place).read_text())
        assert used & {tuple(option) for option in answer["leaving"]} == set(), place


def test_an_unknown_and_a_leaving_option_would_be_found(
    venv_for: Callable[[str], Path], tmp_path: Path
) -> None:
    place = tmp_path / "neutron.conf"
    place.write_text("[DEFAULT]\nno_such_option = 1\nuse_ssl = true\n")
    described = {str(place): {"namespaces": namespaces("neutron"), "like": {}}}
    (answer,) = hold(venv_for("neutron"), described).values()
    assert "no_such_option" in answer["refused"]
    assert ["DEFAULT", "use_ssl"] in answer["leaving"]


def test_a_section_is_held_against_the_one_that_it_is_like(
    venv_for: Callable[[str], Path], tmp_path: Path
) -> None:
    described = {"namespaces": namespaces("cinder"), "like": {"fast": ["backend_defaults"]}}
    files = {str(tmp_path / name): described for name in ("good", "bad")}
    for place, option in zip(files, ("volume_group", "volume_gruop"), strict=True):
        Path(place).write_text(f"[fast]\n{option} = x\n")
    good, bad = hold(venv_for("cinder"), files).values()
    assert good["refused"] == ""
    assert "volume_gruop" in bad["refused"]


@pytest.mark.parametrize("role", SERVICES)
def test_the_virtualenv_brings_the_files_that_a_role_takes_from_it(
    role: str, venv_for: Callable[[str], Path]
) -> None:
    wanted = [f["from_venv"] for f in DESCRIBED[role].get("files") or [] if "from_venv" in f]
    if role == "glance":  # its command reads them there
        wanted.append("etc/glance/metadefs")
    assert [file for file in wanted if not (venv_for(role) / file).exists()] == []


@pytest.mark.parametrize("role", SERVICES)
def test_the_virtualenv_speaks_to_database_and_cache(
    role: str, venv_for: Callable[[str], Path]
) -> None:
    """oslo loads these by name, when a service starts; no package requires them."""
    words = {word for entry in DESCRIBED[role]["config"] for word in entry.get("oslo") or {}}
    code = "".join(
        f"{statement}\n"
        for statement, needed in {
            "import pymysql": DESCRIBED[role].get("databases"),
            "import memcache": "authtoken" in words,
            "from oslo_cache.backends import memcache_pool": "cache" in words,
        }.items()
        if needed
    )
    python = venv_for(role) / "bin" / "python"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", SERVICES)
def test_the_virtualenv_brings_every_program_that_a_unit_or_migration_starts(
    role: str, venv_for: Callable[[str], Path], make_model: Callable[..., Model]
) -> None:
    for name in HOSTS:
        manifest = make_model(name, services=OPTIONAL).manifest(role)
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
            found = venv_for(role) / "bin" / Path(program).name
            assert found.exists(), f"{program}: {role}'s virtualenv has no {found.name}"
