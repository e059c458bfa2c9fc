"""The dashboard on the controllers."""

from __future__ import annotations

import re
from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]

CURRENT = "/var/lib/cairn/services/horizon/current"


@pytest.fixture
def page(host: Any, site: Any) -> str:
    """Fetch the login page and verify the certificate."""
    return str(host.check_output("curl --silent --fail https://%s/auth/login/", site.vip("public")))


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("horizon")


def test_it_listens_on_one_address_only(own_url: Any, status: Any) -> None:
    assert status(own_url(8081, "/auth/login/")) == "200"


def test_visitors_find_it_on_the_public_vip_only(listeners: Any, site: Any) -> None:
    assert listeners(443) == {site.vip("public")}


def test_a_visitor_without_tls_is_sent_on(host: Any, site: Any) -> None:
    vip = site.vip("public")
    where = "curl --silent --output /dev/null --write-out '%%{http_code} %%{redirect_url}' %s"
    assert host.check_output(where, f"http://{vip}/project/") == f"301 https://{vip}/project/"


def test_the_login_page_comes_with_every_static_file_that_it_names(
    site: Any, page: str, status: Any
) -> None:
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert any(link.endswith(".js") for link in links)
    url = f"https://{site.vip('public')}"
    assert {link: status(url + link) for link in links} == dict.fromkeys(links, "200")


def test_static_files_belong_to_the_generation_and_nobody_can_change_them(host: Any) -> None:
    script = host.check_output(f"find {CURRENT}/static/dashboard/js -name 'output.*.js' | head -1")
    found = host.file(script)
    assert (found.user, found.mode & 0o022) == ("root", 0)


def test_settings_with_the_secret_key_are_read_by_the_service_alone(host: Any) -> None:
    settings = host.file("/etc/horizon/local/local_settings.py")
    assert (settings.user, settings.group, settings.mode) == ("root", "horizon", 0o640)


LOGIN = r"""
set -eu
jar=$(mktemp)
trap 'rm -f "$jar"' EXIT
form=$(curl --silent --fail --cookie-jar "$jar" "$URL")
token=$(printf %s "$form" | grep -oP -m1 'csrfmiddlewaretoken" value="\K[^"]+')
curl --silent --cookie "$jar" --referer "$URL" --data-urlencode "csrfmiddlewaretoken=$token" \
    --data username=admin --data password=wrong --data region=default "$URL"
"""


def test_a_wrong_password_is_refused_by_keystone(host: Any, site: Any) -> None:
    answer = host.check_output(f"URL=https://{site.vip('public')}/auth/login/\n{LOGIN}")
    assert "Invalid credentials" in answer
