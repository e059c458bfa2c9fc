"""Virtualenvs: built once, packed, and the same everywhere."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.service import venv_cache
from cairn.service.venv_cache import Archive, assign
from cairn_host import errors, paths, system
from cairn_host.service import virtualenv

UV = Path(sys.executable).with_name("uv")


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host's folders."""
    monkeypatch.setattr(paths, "SERVICES", tmp_path / "services")
    monkeypatch.setattr(paths, "VENVS", tmp_path / "venvs")
    monkeypatch.setattr(paths, "ARCHIVES", tmp_path / "archives")
    monkeypatch.setattr(paths, "UV_CACHE", tmp_path / "uv-cache")
    monkeypatch.setattr(virtualenv, "DISTRO", tmp_path / "dist-packages")
    (tmp_path / "dist-packages").mkdir()
    (tmp_path / "dist-packages" / "libvirt.py").write_text("here = True\n")
    return tmp_path


@pytest.fixture
def venv(host):
    """A virtualenv as `build` leaves it, with one package and its tests."""
    site = paths.VENVS / "nova-1" / "lib/python3.13/site-packages"
    (site / "nova" / "tests").mkdir(parents=True)
    (site / "nova" / "__init__.py").write_text("version = 1\n")
    (site / "nova" / "tests" / "test_x.py").write_text("")
    compileall.compile_dir(site, quiet=2)
    (paths.VENVS / "nova-1" / paths.VENV_COMPLETE).write_text("now\n")
    return paths.VENVS / "nova-1"


def test_uv_builds_it_from_its_lock(host):
    assert virtualenv.build("empty-1", "", "", UV, {"UV_OFFLINE": "1"})
    assert (paths.VENVS / "empty-1/bin/python").exists()
    assert not [p for p in (paths.VENVS / "empty-1").iterdir() if p.stat().st_mode & 0o002]
    assert not virtualenv.build("empty-1", "", "", UV, {})


def test_what_cannot_be_built_leaves_nothing_behind(host):
    lock = "no-such-package-of-cairn==1 --hash=sha256:" + 64 * "0"
    with pytest.raises(errors.HostError, match="installing broken-1 from its lock failed"):
        virtualenv.build("broken-1", lock, "", UV, {"UV_OFFLINE": "1"})
    assert not (paths.VENVS / "broken-1").exists()


def test_packages_lose_their_tests_and_nothing_else(venv):
    site = next((venv / "lib").glob("python3*/site-packages"))
    for path in ("pkg/tests/__init__.py", "pkg/sub/tests/unit/test_x.py", "pkg/data/tests/a.json"):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).touch()
    (site / "pkg/sub/tests/__init__.py").touch()
    virtualenv.remove_tests(venv)
    assert sorted(str(p.relative_to(site)) for p in (site / "pkg").rglob("*") if p.is_file()) == [
        "pkg/data/tests/a.json"
    ]


def is_compiled(venv, name):
    """Whether Python loads a module of the virtualenv without compiling it."""
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {name}"
    site = next((venv / "lib").glob("python3*/site-packages"))
    command = [sys.executable, "-B", "-v", "-c", code, str(site)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"matches {site / name}.py" in done.stderr


def test_another_host_gets_the_same(venv, monkeypatch):
    site = next((venv / "lib").glob("python3*/site-packages"))
    (site / "alone.py").write_text("x = 1\n")
    os.utime(site / "alone.py", (1_000_000_000, 1_000_000_000))
    system.must([sys.executable, "-c", virtualenv.COMPILE, str(venv / "lib")], "compiling")
    (venv / "bin").mkdir(exist_ok=True)
    tool = venv / "bin/tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)

    def content():
        return {
            p.relative_to(venv): (p.read_bytes(), p.stat().st_mode)
            for p in venv.rglob("*")
            if p.is_file() and p.name != paths.VENV_COMPLETE and not p.is_symlink()
        }

    virtualenv.link_distro_modules("nova-1", ["libvirt"])
    packed = virtualenv.pack("nova-1")
    before = content()
    virtualenv.remove("nova-1")
    umask = os.umask(0o077)  # as a careful administrator has it
    try:
        assert virtualenv.unpack("nova-1", Path(packed["path"]), packed["sha256"])
    finally:
        os.umask(umask)
    assert content() == before
    assert virtualenv.is_complete("nova-1")
    # What was compiled counts, though the files' times are others now.
    assert is_compiled(venv, "alone")
    virtualenv.link_distro_modules("nova-1", ["libvirt"])
    assert (site / "libvirt.py").is_symlink()
    assert not virtualenv.unpack("nova-1", Path("not looked at"), "")


def test_a_damaged_archive_is_refused(venv):
    packed = virtualenv.pack("nova-1")
    virtualenv.remove("nova-1")
    with Path(packed["path"]).open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(errors.HostError, match="nova-1 arrived damaged"):
        virtualenv.unpack("nova-1", Path(packed["path"]), packed["sha256"])
    assert not venv.exists()


def test_a_missing_module_of_debian_is_named(venv):
    with pytest.raises(errors.HostError, match="no module rados; add the package"):
        virtualenv.link_distro_modules("nova-1", ["rados"])


@pytest.mark.parametrize("manifest", ['{"venv": {"name": "nova-1"}}', ""])
def test_what_no_generation_refers_to_is_removed(venv, manifest):
    (paths.VENVS / "nova-0").mkdir()
    generation = paths.generation("nova", "aaa")
    generation.mkdir(parents=True)
    (generation / "venv").symlink_to(venv)
    (generation / "manifest.json").write_text(manifest)  # a power cut may have emptied it
    assert virtualenv.prune() == ["nova-0"]
    assert virtualenv.is_complete("nova-1")


# -- on the controller ----------------------------------------------------------------------------


def test_the_work_is_spread_and_the_dearest_goes_first():
    needs = {
        "controller1": {"nova": 100, "glance": 60, "keystone": 50},
        "compute1": {"nova": 100},
        "storage1": {},
    }
    found = assign(needs, dict.fromkeys(needs, "here"))
    assert found == {
        ("nova", "here"): "controller1",
        ("glance", "here"): "compute1",
        ("keystone", "here"): "storage1",
    }


def test_a_host_that_needs_it_itself_comes_first_among_equals():
    needs = {"storage1": {}, "compute1": {"nova": 100}}
    assert assign(needs, dict.fromkeys(needs, "here")) == {("nova", "here"): "compute1"}


def test_each_platform_builds_its_own():
    needs = {"a": {"nova": 1}, "b": {"nova": 1}, "c": {}}
    found = assign(needs, {"a": "old", "b": "new", "c": "old"})
    assert found == {("nova", "old"): "a", ("nova", "new"): "b"}


def test_platforms_differ_by_system_machine_and_minor_version():
    host = {"os": {"id": "debian", "version": "13"}, "arch": "x86_64", "python": "3.13.5"}
    assert venv_cache.platform(host) == "debian13-x86_64-python3.13"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An archive on the controller."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    venv_cache.folder().mkdir(parents=True)
    archive = Archive.of("nova-1", "here")
    arriving = tmp_path / "arriving"
    arriving.write_bytes(b"content")
    archive.keep(arriving, "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73")
    return archive


def test_an_archive_is_kept_under_its_hash(kept):
    assert kept.exists()
    assert kept.use().startswith("ed7002b4")
    assert not Archive.of("nova-2", "here").exists()


def test_an_archive_that_arrives_damaged_is_not_kept(kept, tmp_path):
    arriving = tmp_path / "arriving"
    arriving.write_bytes(b"other")
    other = Archive.of("nova-2", "here")
    with pytest.raises(ValueError, match="arrived damaged"):
        other.keep(arriving, "0" * 64)
    assert not other.exists()


def test_what_nobody_used_for_long_is_removed(kept):
    assert venv_cache.prune() == []
    os.utime(kept.stamp, (0, 0))
    assert venv_cache.prune() == [kept.path.name]
    assert not kept.path.exists()
