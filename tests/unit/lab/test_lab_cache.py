"""Things made once: names by content, whole or not there at all."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import cache, image, kernel, machine
from lab.run import LabError, Progress, stream
from lab.state import Process


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cairn"


def test_keys_depend_on_every_part_and_on_where_parts_end() -> None:
    assert cache.key("ab", "c") != cache.key("a", "bc")
    assert cache.key("a", "b") != cache.key("b", "a")
    assert cache.key("a", b"b") == cache.key(b"a", "b")


def test_an_entry_is_built_once() -> None:
    calls = []

    def build(part: Path, _: int) -> None:
        calls.append(part)
        (part / "it").write_text("made")

    first = cache.entry("thing-1", build)
    assert cache.entry("thing-1", build) == first
    assert (first / "it").read_text() == "made"
    assert len(calls) == 1


def test_a_failed_build_leaves_no_entry_and_the_next_begins_again() -> None:
    def fail(part: Path, _: int) -> None:
        (part / "half").write_text("made")
        raise LabError("no network")

    with pytest.raises(LabError, match="no network"):
        cache.entry("thing-1", fail)
    assert cache.find("thing-") is None
    entry = cache.entry("thing-1", lambda part, _: None)
    assert list(entry.iterdir()) == []


def _slow(part: Path, _: int) -> None:
    time.sleep(0.3)
    (part / str(multiprocessing.current_process().pid)).touch()


def _build() -> None:
    cache.entry("thing-1", _slow)


def test_two_builders_at_once_build_once(folder: Path) -> None:
    builders = [multiprocessing.get_context("fork").Process(target=_build) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert [builder.exitcode for builder in builders] == [0, 0]
    assert len(list((folder / "thing-1").iterdir())) == 1


def test_a_kernel_of_this_configuration_is_found_whatever_its_source_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert kernel.find() is None
    built = cache.entry(f"{kernel._name()}7.2.12-1", lambda part, fd: None)
    assert kernel.build() == built
    other = tmp_path / "kernel.config"
    other.write_text(kernel.CONFIG.read_text() + "CONFIG_MACVLAN=y\n")
    monkeypatch.setattr(kernel, "CONFIG", other)
    assert kernel.find() is None


def test_options_that_the_source_does_not_take_are_named() -> None:
    wanted = "# why\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=14\n"
    assert kernel.unmet(wanted, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=12\n") == [
        "CONFIG_B=y",
        "CONFIG_C=14",
    ]


def test_what_networking_needs_is_in_the_kernel() -> None:
    lines = kernel.CONFIG.read_text().splitlines()
    for option in ("NF_CONNTRACK_ZONES", "OPENVSWITCH_GENEVE", "NETFILTER_XT_TARGET_CHECKSUM"):
        assert f"CONFIG_{option}=y" in lines
    assert not any("SMP" in line for line in lines if not line.startswith("#"))


def test_mirrors_are_those_of_the_machine() -> None:
    text = (
        "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian/\n"
        "deb [signed-by=/k.gpg] https://mirror.example/debian-security trixie-security main\n"
        "deb https://packages.example/node nodistro main\n"
    )
    assert machine.mirrors(text) == (
        "http://mirror.example/debian",
        "https://mirror.example/debian-security",
    )


def test_without_a_mirror_of_debian_it_says_how_to_name_one() -> None:
    with pytest.raises(LabError, match="CAIRN_DEBIAN_MIRROR"):
        machine.mirrors("deb http://mirror.example/other noble main")


def test_a_named_mirror_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAIRN_DEBIAN_MIRROR", "http://near.example/debian/")
    assert machine.mirrors("deb http://mirror.example/debian trixie main") == (
        "http://near.example/debian",
        "http://near.example/debian-security",
    )


def test_guests_take_over_indexes_but_not_the_machine_s_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(machine.environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///opt/wheels")
    monkeypatch.setenv("SSL_CERT_FILE", machine.BUNDLE)
    monkeypatch.setenv("HOME", "/somewhere")
    assert machine.environment() == {
        "SSL_CERT_FILE": machine.BUNDLE,
        "UV_INDEX_URL": "https://index.example/simple",
    }


def test_pip_s_index_is_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://index.example/simple\nextra-index-url = file:///opt/x\n"
    )
    made = machine.python_indexes()["etc/pip.conf"]
    assert "index-url = https://index.example/simple\n" in made
    assert "file:" not in made


def test_guests_do_not_build_an_initramfs() -> None:
    assert not {"linux-image-amd64", "initramfs-tools"} & set(image.PACKAGES)


def test_a_failed_command_shows_its_last_lines_and_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(LabError, match=r"compiling failed \(exit status 3\)[^$]*boom") as caught:
        stream(["sh", "-c", "echo boom; exit 3"], Progress("kernel"), "compiling", log)
    assert str(log) in str(caught.value)
    assert "boom" in log.read_text()


def test_progress_is_a_share_of_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress("kernel")
    progress.interval = 0.0
    script = "echo '  CC a.o'; echo noise; echo '  CC b.o'"
    seen = stream(
        ["sh", "-c", script], progress, "compiling", tmp_path / "log", count=r"CC\s", total=4
    )
    assert seen == 2
    assert capsys.readouterr().err.splitlines() == [
        "kernel: compiling: 25 % (0 s)",
        "kernel: compiling: 50 % (0 s)",
    ]


def test_a_build_does_not_outlive_its_caller(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from lab.run import Progress, stream; "
        f"stream(['sh', '-c', 'echo $$ > {tmp_path}/pid; sleep 60'], Progress('x'), 'y', "
        f"Path('{tmp_path}/log'))"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])
    pid = tmp_path / "pid"
    end = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    child = Process.of(int(pid.read_text()))
    assert child.alive
    caller.kill()
    caller.wait()
    while child.alive and time.monotonic() < end:
        time.sleep(0.05)
    assert not child.alive
