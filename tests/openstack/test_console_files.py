"""noVNC's files, as nova's virtualenv serves them to a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

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
    assert "/usr/local/share/cairn/novnc\n" in ini
    ini = ini.replace("/usr/local/share/cairn/novnc", str(folder))
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
