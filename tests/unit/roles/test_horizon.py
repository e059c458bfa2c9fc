"""Horizon's settings, held against horizon's own code, and the pages that it makes of them."""

from __future__ import annotations

import ast
import getpass
import grp
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests

from cairn.errors import CairnError
from cairn.service.django import django_settings
from cairn.service.manifest import Manifest
from cairn.service.model import Model
from cairn_host import errors, files, paths
from cairn_host.service import staging

MakeModel = Callable[..., Model]


def rendered(make_model: MakeModel, **how: Any) -> Manifest:
    services = {"services": ["horizon", *how.pop("services", [])]}
    manifest = make_model("controller1", **services, **how).manifest("horizon")
    assert manifest is not None
    return manifest


def file(manifest: Manifest, path: str) -> str:
    return next(str(f["content"]) for f in manifest["files"] if f["path"] == path)


def settings(manifest: Manifest) -> dict[str, Any]:
    """Settings of the rendered module whose values are literals."""
    found = {}
    for node in ast.parse(file(manifest, "local/local_settings.py")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


# --- what is rendered


def test_a_site_without_the_dashboard_has_nothing_of_it(make_model: MakeModel) -> None:
    assert "horizon" not in make_model("controller1", services=["heat"]).manifests()


def test_visitors_come_by_tls_and_cookies_go_no_other_way(make_model: MakeModel) -> None:
    found = settings(rendered(make_model))
    assert found["SESSION_COOKIE_SECURE"] is True
    assert found["CSRF_COOKIE_SECURE"] is True
    assert found["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://cloud.example"]
    assert "cloud.example" in found["ALLOWED_HOSTS"]
    assert "*" not in found["ALLOWED_HOSTS"]


def test_the_dashboard_asks_the_internal_apis_and_verifies_them(make_model: MakeModel) -> None:
    found = settings(rendered(make_model))
    assert found["OPENSTACK_KEYSTONE_URL"] == "https://internal.example:5000/v3"
    assert found["OPENSTACK_ENDPOINT_TYPE"] == "internalURL"
    assert found["OPENSTACK_SSL_CACERT"] == "/etc/ssl/certs/cairn-ca.pem"


def test_sessions_are_in_every_controllers_memcached(make_model: MakeModel) -> None:
    text = file(rendered(make_model, controllers=3), "local/local_settings.py")
    assert "['192.0.2.1:11211', '192.0.2.2:11211', '192.0.2.3:11211']" in text


def test_all_controllers_share_the_key_and_the_static_files(make_model: MakeModel) -> None:
    made = [
        make_model(f"controller{n}", controllers=2, services=["horizon"]).manifest("horizon")
        for n in (1, 2)
    ]
    keys = [settings(m)["SECRET_KEY"] for m in made if m]
    assert keys == ["horizon_secret_key-value"] * 2
    assert made[0] and made[1] and made[0]["build"] == made[1]["build"]


def test_backups_of_volumes_are_offered_where_they_can_be_made(make_model: MakeModel) -> None:
    for services, offered in (([], False), (["cinder"], False), (["cinder", "swift"], True)):
        text = file(rendered(make_model, services=services), "local/local_settings.py")
        assert f"'enable_backup': {offered}" in text


def test_panels_of_heat_are_there_with_heat_only(make_model: MakeModel) -> None:
    without, having = rendered(make_model), rendered(make_model, services=["heat"])
    assert "heat" not in file(without, "local/pages.py")
    assert "heat_dashboard" in file(having, "local/pages.py")
    assert without["build"][0]["key"] != having["build"][0]["key"]


def test_static_files_are_made_again_only_if_their_inputs_change(make_model: MakeModel) -> None:
    key = rendered(make_model)["build"][0]["key"]
    same = {"SITE_BRANDING": "Example", "SESSION_TIMEOUT": 60}
    assert rendered(make_model, horizon_settings=same)["build"][0]["key"] == key
    other = {"HORIZON_CONFIG": {"help_url": "https://help.example"}}
    assert rendered(make_model, horizon_settings=other)["build"][0]["key"] != key


def test_the_secret_key_is_masked_in_a_diff(make_model: MakeModel) -> None:
    (shown,) = [
        difference["after"]
        for difference in staging.show_difference(rendered(make_model))
        if difference["after_header"].endswith("local_settings.py")
    ]
    assert "SECRET_KEY = ****" in shown
    assert "horizon_secret_key-value" not in shown


def test_it_is_behind_the_load_balancer_on_the_public_vip_only(content: Callable[..., str]) -> None:
    path = "/etc/haproxy/haproxy.cfg"
    text = content("loadbalancer", path, controllers=3, services=["horizon"])
    front = text.split("listen horizon from http")[1].split("listen ")[0]
    assert re.findall(r"bind (\S+) ssl", front) == ["203.0.113.250:443"]
    assert "balance source" in front
    assert len(re.findall(r"server \S+ 192\.0\.2\.[123]:8081 check", front)) == 3
    plain = text.split("frontend horizon-plain from http")[1].split("listen ")[0]
    assert plain.split("\n    ")[1:] == [
        "bind 203.0.113.250:80",
        "http-request redirect scheme https code 301\n\n",
    ]


# --- the filter


def test_an_operators_setting_wins_and_null_takes_one_away() -> None:
    text = django_settings({"A": 1, "B": 2}, {"A": 3, "B": None})
    assert text == "A = 3"


def test_a_mapping_adds_to_cairns_and_to_horizons_own() -> None:
    text = django_settings({"A": {"x": 1, "y": 2}}, {"A": {"y": 3}})
    assert text == "A = {**globals().get('A', vars(_settings).get('A', {})), **{'x': 1, 'y': 3}}"


@pytest.mark.parametrize("name", ["session_timeout", "A-B", "import os\nX"])
def test_a_name_that_is_no_setting_is_refused(name: str) -> None:
    with pytest.raises(CairnError, match="no Django setting"):
        django_settings({}, {name: 1})


def test_a_setting_that_the_role_needs_is_refused() -> None:
    with pytest.raises(CairnError, match="SECRET_KEY is set by Cairn"):
        django_settings({}, {"SECRET_KEY": "mine"})


# --- horizon itself


@pytest.fixture(scope="module")
def venv(venv_of: Callable[[str], Path]) -> Path:
    return venv_of("horizon")


def test_sessions_are_read_by_nobody_else_and_in_no_other_place(root: Path, venv: Path) -> None:
    code = """
from encrypted_sessions import EncryptedSessions
ours, others = EncryptedSessions("one"), EncryptedSessions("two")
text, flags = ours.serialize("session-1", {"token": "secret"})
assert b"secret" not in text
assert ours.deserialize(b"session-1", text, flags) == {"token": "secret"}
assert others.deserialize("session-1", text, flags) is None
assert ours.deserialize("session-2", text, flags) is None
import pickle
assert ours.deserialize("session-1", pickle.dumps("planted"), flags) is None
"""
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", code],
        cwd=root / "roles" / "horizon" / "files",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def host(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that stands for a host: nothing but horizon's virtualenv, which it links to."""
    folder = tmp_path_factory.mktemp("host")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STATE", "SERVICES", "VENVS"):
            patch.setattr(paths, name, folder / name.lower())
        patch.setattr(files, "pwd", pwd_of_this_user())
        paths.VENVS.mkdir()
        yield folder


def pwd_of_this_user() -> Any:
    """Accounts of a host that this machine does not have: all of them are this user."""
    import pwd
    import types

    return types.SimpleNamespace(getpwnam=lambda _name: pwd.getpwnam(getpass.getuser()))


def stage(host: Path, venv: Path, manifest: Manifest) -> Path:
    """Stage a generation as a host does; the folder that it is in."""
    link = paths.VENVS / manifest["venv"]["name"]
    if not link.exists():
        link.symlink_to(venv)
    group = grp.getgrgid(os.getgid()).gr_name
    own = [f | {"owner": getpass.getuser(), "group": group} for f in manifest["files"]]
    staging.stage({**manifest, "files": own, "user": {}})
    return paths.generation("horizon", manifest["id"])


@pytest.fixture(scope="module")
def generation(host: Path, venv: Path, make_model: MakeModel) -> Path:
    """Horizon with heat's panels, staged by its own code."""
    return stage(host, venv, rendered(make_model, services=["cinder", "heat", "swift"]))


def test_static_files_of_all_panels_are_in_the_generation(generation: Path) -> None:
    scripts = "".join(
        path.read_text()
        for path in (generation / "static" / "dashboard" / "js").glob("output.*.js")
    )
    assert "horizon.dashboard.project.heat_dashboard" in scripts
    assert not list((generation / "etc").rglob("*.pyc"))


def test_another_setting_takes_the_static_files_over(
    generation: Path, host: Path, venv: Path, make_model: MakeModel
) -> None:
    services = ["cinder", "heat", "swift"]
    changed = rendered(make_model, services=services, horizon_settings={"SESSION_TIMEOUT": 60})
    other = stage(host, venv, changed)
    assert other != generation
    (page,) = (generation / "static" / "dashboard").glob("manifest.json")
    assert (other / "static" / "dashboard" / "manifest.json").samefile(page)


def test_settings_that_horizon_cannot_use_are_refused(
    generation: Path, host: Path, venv: Path, make_model: MakeModel
) -> None:
    wrong = rendered(
        make_model,
        services=["cinder", "heat", "swift"],
        horizon_settings={"MIDDLEWARE": ["no.such.Middleware"]},
    )
    with pytest.raises(errors.HostError, match=r"refused(.|\n)*No module named 'no'"):
        stage(host, venv, wrong)


@pytest.fixture(scope="module")
def url(
    generation: Path,
    venv: Path,
    tmp_path_factory: pytest.TempPathFactory,
    uwsgi: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """The dashboard, run as its unit does but for its address."""
    text = (generation / "etc" / "uwsgi-horizon.ini").read_text()
    text = text.replace("/etc/horizon", str(generation / "etc"))
    text = text.replace("/var/lib/cairn/services/horizon/current/static", f"{generation}/static")
    with uwsgi(venv, text, tmp_path_factory.mktemp("uwsgi")) as found:
        yield found


def get(url: str, **headers: str) -> requests.Response:
    ours = {"Host": "cloud.example", "X-Forwarded-Proto": "https"}
    return requests.get(url, headers=ours | headers, timeout=60)


def test_the_login_page_and_all_that_it_asks_for_are_served(url: str) -> None:
    page = get(f"{url}/auth/login/")
    assert "<title>Login" in page.text
    assert 'name="domain"' not in page.text
    assert "csrftoken=" in page.headers["Set-Cookie"]
    assert "Secure" in page.headers["Set-Cookie"]
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert any(link.endswith(".css") for link in links)
    assert any(link.endswith(".js") for link in links)
    assert {link: get(url + link).status_code for link in links} == dict.fromkeys(links, 200)


def test_scripts_travel_compressed(url: str) -> None:
    page = get(f"{url}/auth/login/")
    (script, *_) = re.findall(r'src="(/static/dashboard/js/[^"]+)"', page.text)
    packed = get(url + script, **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.text == get(url + script, **{"Accept-Encoding": "identity"}).text


def test_another_name_is_refused(url: str) -> None:
    assert get(f"{url}/auth/login/", Host="evil.example").status_code == 400


# Asks for metadata definitions as the dialogs for launching an instance and for a snapshot's
# metadata do: glance has none for these types.
METADATA = """
import json, sys
from types import SimpleNamespace as Of
import django
django.setup()
from django.test import RequestFactory
from django.urls import resolve
from openstack_dashboard.api import glance
nothing = Of(metadefs_namespace=Of(list=lambda **_filters: iter([])))
glance.glanceclient = lambda *_about: nothing
path = "/api/glance/metadefs/namespaces/"
for kind in sys.argv[1:]:
    request = RequestFactory().get(
        path, {"resource_type": kind}, HTTP_X_REQUESTED_WITH="XMLHttpRequest", secure=True,
        HTTP_HOST="cloud.example",
    )
    request.session, request.user = {}, Of(is_authenticated=True, id="1")
    view = resolve(path)
    answer = view.func(request, *view.args, **view.kwargs)
    print("answer", answer.status_code, answer.content.decode())
"""


def test_kinds_of_things_without_metadata_definitions_have_none(
    generation: Path, venv: Path
) -> None:
    kinds = ["OS::Cinder::Volumes", "OS::Cinder::Snapshot"]
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", METADATA, *kinds],
        env={
            "PYTHONPATH": str(generation / "etc"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
    assert len(answers) == len(kinds), done.stdout
    assert all(line.startswith('answer 200 {"items": []') for line in answers), done.stdout
