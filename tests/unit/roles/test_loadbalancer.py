"""HAProxy's and keepalived's configuration as derived from the services' descriptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cairn_host.service import haproxy_admin

Content = Callable[..., str]


def section(text: str, name: str) -> str:
    """One section of HAProxy's configuration."""
    found = re.search(rf"^(?:listen|backend) {name} from .*?(?=^\S|\Z)", text, re.M | re.S)
    assert found, f"there is no section {name}"
    return found[0]


@pytest.fixture(params=[1, 3])
def haproxy(request: pytest.FixtureRequest, content: Content) -> str:
    return content("loadbalancer", "/etc/haproxy/haproxy.cfg", controllers=request.param)


def test_every_api_is_on_both_vips_with_tls(haproxy: str) -> None:
    keystone = section(haproxy, "keystone-api")
    binds = re.findall(r"bind (\S+) (.*)", keystone)
    assert [address for address, _ in binds] == ["192.0.2.250:5000", "203.0.113.250:5000"]
    assert all("ssl crt @cairn/host" in how for _, how in binds)


def test_databases_are_on_the_internal_vip_only(haproxy: str) -> None:
    assert re.findall(r"bind (\S+)", section(haproxy, "mariadb")) == ["192.0.2.250:3306"]


def test_nothing_listens_without_tls_but_sql_that_has_its_own(haproxy: str) -> None:
    plain = [line for line in haproxy.splitlines() if " bind " in line and " ssl " not in line]
    binds = [line.split()[1] for line in plain]
    assert binds == ["unix@/run/haproxy/health.sock", "192.0.2.250:3306"]


def test_a_lone_server_is_never_marked_down(content: Content) -> None:
    text = content("loadbalancer", "/etc/haproxy/haproxy.cfg", controllers=1)
    assert " check" not in "".join(re.findall(r"^ +server .*", text, re.M))


def test_writes_go_to_one_node_and_only_one(content: Content) -> None:
    text = content("loadbalancer", "/etc/haproxy/haproxy.cfg", controllers=3)
    servers = re.findall(r"^ +server (\S+) .*", section(text, "mariadb"), re.M)
    assert servers == ["controller1", "controller2", "controller3"]
    lines = re.findall(r"^ +server .*", section(text, "mariadb"), re.M)
    assert [" backup" in line for line in lines] == [False, True, True]
    assert all("check port 9200" in line for line in lines)
    assert "http-check expect rstatus 200" in section(text, "mariadb")
    # When the first comes back, nothing goes on writing to another.
    cut = ["on-marked-up shutdown-backup-sessions" in line for line in lines]
    assert cut == [True, False, False]
    # Ending sessions would leave those hanging that are still on their way (see the template).
    assert all("tcp-ut 10s" in line and "on-marked-down" not in line for line in lines)


def test_apis_are_checked_where_they_say_they_are_healthy(content: Content) -> None:
    text = content("loadbalancer", "/etc/haproxy/haproxy.cfg", controllers=3)
    glance = section(text, "glance-api")
    assert "http-check send meth GET uri /healthcheck" in glance
    assert len(re.findall(r"^ +server \S+ 192\.0\.2\.[123]:9292 check$", glance, re.M)) == 3


def test_consoles_proxy_is_asked_for_websockets_only(content: Content) -> None:
    text = content("loadbalancer", "/etc/haproxy/haproxy.cfg", controllers=3)
    consoles = section(text, "nova-novncproxy")
    rule = "use_backend nova-console-files unless { hdr(Upgrade) -i websocket }"
    assert re.findall(r"use_backend .*", text) == [rule]
    assert rule in consoles
    # The proxy forks for every request, a check's among them.
    assert "httpchk" not in consoles
    assert len(re.findall(r"^ +server \S+ 192\.0\.2\.[123]:6080 check$", consoles, re.M)) == 3
    files = section(text, "nova-console-files")
    assert "http-check send meth GET uri /vnc_lite.html" in files
    assert len(re.findall(r"^ +server \S+ 192\.0\.2\.[123]:6081 check$", files, re.M)) == 3


def test_your_own_certificate_is_shown_on_the_public_vip_only(content: Content) -> None:
    own = {"pki_public_certificate": "CERTIFICATE", "pki_public_key": "KEY"}
    text = content("loadbalancer", "/etc/haproxy/haproxy.cfg", **own)
    keystone = section(text, "keystone-api")
    assert "192.0.2.250:5000 ssl crt @cairn/host" in keystone
    assert "203.0.113.250:5000 ssl crt /etc/haproxy/public.pem" in keystone
    pem = content("loadbalancer", "/etc/haproxy/public.pem", **own)
    assert pem.split() == ["CERTIFICATE", "KEY"]


def test_both_vips_move_together(content: Content) -> None:
    text = content("loadbalancer", "/etc/keepalived/keepalived.conf", controllers=3)
    group = re.search(r"vrrp_sync_group.*?^}", text, re.M | re.S)
    assert group and "management" in group[0] and "service" in group[0]
    assert re.findall(r"vrrp_instance (\S+)", text) == ["management", "service"]
    assert re.findall(r"^ +(\S+/32) dev (\S+)", text, re.M) == [
        ("192.0.2.250/32", "mgmt0"),
        ("203.0.113.250/32", "serv0.30"),
    ]


def test_each_controller_tells_the_others_and_not_itself(content: Content) -> None:
    text = content(
        "loadbalancer", "/etc/keepalived/keepalived.conf", controllers=3, name="controller2"
    )
    peers = re.findall(r"unicast_peer \{(.*?)\}", text, re.S)
    assert [block.split() for block in peers] == [
        ["192.0.2.1", "192.0.2.3"],
        ["203.0.113.1", "203.0.113.3"],
    ]
    assert re.findall(r"priority (\d+)", text) == ["199", "199"]


def test_one_controller_holds_the_vips_alone(content: Content) -> None:
    text = content("loadbalancer", "/etc/keepalived/keepalived.conf", controllers=1)
    assert "unicast" not in text
    assert "192.0.2.250/32" in text
    # A check that is late on a busy day would take them from the only one who can have them.
    assert "track_script" not in text


def test_a_controller_without_a_working_load_balancer_gives_the_vips_to_another(
    content: Content,
) -> None:
    text = content("loadbalancer", "/etc/keepalived/keepalived.conf", controllers=3)
    assert "vrrp_script haproxy {" in text
    assert "    track_script {\n        haproxy\n    }\n" in text


def test_queries_of_urls_are_not_logged(haproxy: str) -> None:
    assert not re.search(r"^ *option httplog", haproxy, re.M)
    (line,) = [line for line in haproxy.splitlines() if "log-format" in line]
    assert "%HPO" in line
    assert not {"%r", "%{+Q}r", "%HU", "%HQ"} & set(line.replace('"', " ").split())


def test_the_check_of_haproxy_is_made_of_words(units: Callable[..., dict[str, Any]]) -> None:
    health = units("loadbalancer", "controller1", loadbalancer_check_timeout=7)["haproxy"]["health"]
    assert health["command"][:5] == ["/usr/bin/curl", "--silent", "--fail", "--max-time", "7"]


# --- what an operator has taken out stays out over a reload ----------------------------------

HEAD = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state …\n"
ROW = "2 {} 1 {} 192.0.2.11 2 {} 1 1 4 6 3 3 6 0 0 0 - 1 - 0 0 - - 0"


@pytest.mark.parametrize(
    ("admin", "kept"),
    [(0, False), (1, True), (8, True), (9, True), (2, False), (4, False), (0x20, False)],
)
def test_only_what_somebody_took_out_outlives_a_reload(
    script: Callable[[str], Any], haproxy: str, admin: int, kept: bool
) -> None:
    module = script("roles/loadbalancer/files/haproxy_admin.py")
    row = ROW.format("keystone-api", "controller1", admin)
    lines = module.kept(f"{HEAD}{row}\n\n", haproxy).splitlines()
    assert "\n".join(lines[:2]) + "\n" == HEAD
    # HAProxy takes the port from this file, and not from a configuration that has another now.
    assert [line.split()[18] for line in lines[2:]] == (["5000"] if kept else [])
    assert [line.split()[6] for line in lines[2:]] == ([str(admin)] if kept else [])


@pytest.mark.parametrize("gone", [("keystone-api", "controller9"), ("former-api", "controller1")])
def test_a_server_that_is_no_longer_configured_is_not_kept(
    script: Callable[[str], Any], haproxy: str, gone: tuple[str, str]
) -> None:
    module = script("roles/loadbalancer/files/haproxy_admin.py")
    assert module.kept(HEAD + ROW.format(*gone, 1) + "\n", haproxy) == HEAD


def test_haproxy_keeps_its_state_before_it_reloads(make_model: Callable[..., Any]) -> None:
    manifest = make_model("controller1", controllers=3).manifest("loadbalancer")
    dropin = {unit["unit"]: unit["dropin"] for unit in manifest["units"]}["haproxy.service"]
    commands = re.findall(r"^ExecReload=(.*)$", dropin, re.M)
    assert commands[0] == "", "Debian's commands would come first"
    assert commands[1].endswith(" /etc/haproxy/keep_state.py")
    assert commands[1].startswith("-"), "a reload goes on without it"
    assert commands[-1] == "/bin/kill -USR2 $MAINPID"
    files = {file["path"]: file for file in manifest["files"]}
    program = files["/etc/haproxy/keep_state.py"]["content"]
    assert program == Path(haproxy_admin.__file__).read_text(), "draining has the same"
    state = re.search(r"server-state-file (\S+)", files["/etc/haproxy/haproxy.cfg"]["content"])
    assert state
    assert f'Path("{state[1]}")' in program
