"""MariaDB, as seen by clients on the network and by root on the host."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

testinfra_hosts = ["ansible://controller"]


@pytest.fixture
def query(host: Any) -> Callable[[str], list[list[str]]]:
    """Return a function that queries the server as root and returns rows."""

    def ask(sql: str) -> list[list[str]]:
        said = host.check_output("mariadb --batch --raw --skip-column-names --execute %s", sql)
        return [line.split("\t") for line in said.splitlines()]

    return ask


def login(host: Any, address: str, more: str) -> str:
    """Return the server's answer to a client without a password."""
    done = host.run(f"mariadb --host={address} --user=nobody {more} --execute='SELECT 1'")
    assert done.rc != 0
    return str(done.stderr)


def test_its_units_run_and_start_at_boot(runs: Any) -> None:
    runs("mariadb")


def test_the_server_itself_listens_on_the_management_address_only(
    site: Any, listeners: Callable[[int], set[str]]
) -> None:
    assert listeners(3306) - {site.vip("internal")} == {site.address("management")}


def test_a_login_without_tls_is_refused(host: Any, site: Any) -> None:
    assert "insecure transport" in login(host, site.address("management"), "--skip-ssl")


def test_the_certificate_is_good_and_a_wrong_password_is_not(host: Any, site: Any) -> None:
    trusted = "--ssl-ca=/etc/ssl/certs/cairn-ca.pem --ssl-verify-server-cert --password=wrong"
    assert "Access denied for user 'nobody'" in login(host, site.address("management"), trusted)


def test_a_stranger_cannot_pass_for_the_server(host: Any, site: Any) -> None:
    """Counter-check: with another CA the same connection fails earlier."""
    other = "--ssl-ca=/etc/ssl/certs/ISRG_Root_X1.pem --ssl-verify-server-cert --password=wrong"
    assert "certificate" in login(host, site.address("management"), other).lower()


def test_root_comes_in_by_the_socket_and_in_no_other_way(
    host: Any, query: Callable[[str], list[list[str]]]
) -> None:
    assert query("SELECT User, Host FROM mysql.user WHERE User = 'root'") == [["root", "localhost"]]
    assert host.run("runuser -u nobody -- mariadb --user=root --execute 'SELECT 1'").rc != 0


def test_every_service_needs_tls_and_comes_from_the_management_plane(
    site: Any, query: Callable[[str], list[list[str]]]
) -> None:
    plane = ipaddress.ip_network(site.planes["management"]["cidr"])
    for user, network, tls in query(
        "SELECT User, Host, ssl_type FROM mysql.user WHERE Host <> 'localhost' AND is_role = 'N'"
    ):
        assert (network, tls) == (plane.with_netmask, "ANY"), user


def test_no_one_reaches_a_database_of_another(query: Callable[[str], list[list[str]]]) -> None:
    for user, database in query("SELECT User, Db FROM mysql.db"):
        assert database.replace("\\", "").split("_")[0] == user


def test_snapshot_isolation_is_off(query: Callable[[str], list[list[str]]]) -> None:
    assert query("SELECT @@innodb_snapshot_isolation") == [["0"]]
