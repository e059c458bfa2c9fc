"""The VIPs, as seen by clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]

PORT = 5000
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def handshake(host: Any, address: str, more: str = "") -> Any:
    """Open a TLS connection to a port, trusting the system's CAs only."""
    return host.run(
        f"openssl s_client -connect {address}:{PORT} -verify_ip {address} -verify_return_error "
        f"-CAfile {BUNDLE} {more} </dev/null"
    )


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("haproxy", "keepalived")


def test_one_controller_holds_both_vips(host: Any, site: Any) -> None:
    held = {
        address.split("/")[0]
        for line in host.check_output("ip -oneline -4 address").splitlines()
        for address in line.split()[3:4]
    }
    vips = {site.vip("internal"), site.vip("public")}
    controllers = host.ansible.get_variables()["groups"]["controller"]
    assert held & vips in ([vips] if len(controllers) == 1 else [vips, set()])


@pytest.mark.parametrize("side", ["internal", "public"])
def test_the_certificate_is_good_for_the_vip(host: Any, site: Any, side: str) -> None:
    done = handshake(host, site.vip(side))
    assert done.rc == 0, done.stderr
    assert "TLSv1.3" in done.stdout


@pytest.mark.parametrize("side", ["internal", "public"])
def test_old_tls_is_refused(host: Any, site: Any, side: str) -> None:
    done = handshake(host, site.vip(side), "-tls1_2 -cipher ALL:@SECLEVEL=0")
    assert done.rc != 0
    assert "alert protocol version" in done.stderr


def test_nothing_is_served_without_tls(host: Any, site: Any) -> None:
    done = host.run(f"curl --silent --max-time 5 http://{site.vip('internal')}:{PORT}/")
    assert done.rc != 0


def test_sql_is_not_on_the_public_vip(
    host: Any, site: Any, listeners: Callable[[int], set[str]]
) -> None:
    assert listeners(3306) == {site.vip("internal"), site.address("management")}


def test_what_runs_is_what_is_configured(host: Any) -> None:
    assert host.run("haproxy -c -q -f /etc/haproxy/haproxy.cfg").rc == 0


def test_its_control_socket_is_closed_to_others(host: Any) -> None:
    socket = host.file("/run/haproxy/admin.sock")
    assert socket.is_socket and socket.mode & 0o007 == 0
