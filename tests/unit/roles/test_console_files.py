"""noVNC's files, as nova's virtualenv serves them to a browser."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from cairn.service.model import Model
from cairn_host import paths, system
from cairn_host.service import staging

FILES = "/var/lib/cairn/services/nova/current/novnc/usr/share/novnc"
SCRIPT = "export default 1;\n"


@pytest.fixture(scope="module")
def url(
    venv_of: Callable[[str], Path],
    content: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
    uwsgi: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    venv = venv_of("nova")
    folder = tmp_path_factory.mktemp("novnc")
    (folder / "core").mkdir()
    (folder / "core/rfb.js").write_text(SCRIPT)
    (folder / "vnc_lite.html").write_text("<title>noVNC</title>")
    (folder.parent / "secret").write_text("not for browsers")
    ini = content("nova", "uwsgi-nova-console-files.ini", "controller1")
    assert f"{FILES}\n" in ini
    ini = ini.replace(FILES, str(folder))
    with uwsgi(venv, ini, tmp_path_factory.mktemp("uwsgi")) as found:
        yield found


def test_a_browser_gets_the_page_whatever_its_query(url: str) -> None:
    page = requests.get(f"{url}/vnc_lite.html?path=%3Ftoken%3D1", timeout=30)
    assert (page.status_code, page.text) == (200, "<title>noVNC</title>")
    assert page.headers["Content-Type"] == "text/html"


def test_a_module_has_the_type_without_which_no_browser_runs_it(url: str) -> None:
    script = requests.get(f"{url}/core/rfb.js", timeout=30)
    assert (script.status_code, script.text) == (200, SCRIPT)
    assert script.headers["Content-Type"] in ("application/javascript", "text/javascript")


@pytest.mark.parametrize(
    "path", ["/", "/core", "/no.js", "/%2e%2e/secret", "/core/..%2f../../secret"]
)
def test_nothing_else_is_served(path: str, url: str) -> None:
    request = requests.Request("GET", url).prepare()
    request.url = url + path
    answer = requests.Session().send(request, timeout=30)
    assert answer.status_code >= 400
    assert "not for browsers" not in answer.text


APT = """#!/bin/sh
echo "$@" >>{folder}/calls
for word; do [ "$word" != download ] || cp {folder}/made.deb novnc_1%3a1.6.0-1_all.deb; done
"""


def test_every_generation_has_its_own_copy_out_of_debians_package(
    make_model: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text(
        "Package: novnc\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
    )
    page = package / "usr/share/novnc/vnc_lite.html"
    page.parent.mkdir(parents=True)
    page.write_text("<title>noVNC</title>")
    subprocess.run(["dpkg-deb", "--build", package, tmp_path / "made.deb"], check=True)
    (tmp_path / "bin").mkdir()
    apt = tmp_path / "bin/apt-get"
    apt.write_text(APT.format(folder=tmp_path))
    apt.chmod(0o755)
    path = f"{apt.parent}:{system.SYSTEM_PATH}"
    monkeypatch.setattr(system, "BARE_ENVIRONMENT", {"PATH": path, "HOME": "/root"})
    manifest = make_model("controller1").manifest("nova")
    assert manifest is not None
    draft = tmp_path / "draft"
    staging.build_folders(manifest, draft)
    below = Path(FILES).relative_to(paths.current("nova"))
    assert (draft / below / "vnc_lite.html").read_text() == "<title>noVNC</title>"
    assert sorted(p.name for p in (draft / "novnc").iterdir()) == ["usr"]
    assert "update" in (tmp_path / "calls").read_text()
    compute = make_model("compute1").manifest("nova")
    assert compute is not None and compute["build"] == []
