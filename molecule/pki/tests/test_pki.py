"""Each host's certificate and key, as seen by OpenSSL."""

from __future__ import annotations

from typing import Any

testinfra_hosts = [
    f"ansible://{group}" for group in ("controller", "network", "compute", "storage")
]

CERTIFICATE = "/etc/cairn/tls/host.pem"
KEY = "/etc/cairn/tls/host.key"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def verifies(host: Any, how: str) -> bool:
    """Return whether the system's CA bundle verifies the certificate for a name or address."""
    return bool(host.run(f"openssl verify -CAfile {BUNDLE} {how} {CERTIFICATE}").rc == 0)


def test_it_is_good_for_the_hosts_name_and_every_address(host: Any, site: Any) -> None:
    assert verifies(host, f"-verify_hostname {site.name}")
    for plane in host.ansible.get_variables()["cairn_host_planes"]:
        assert verifies(host, f"-verify_ip {site.address(plane)}"), plane


def test_it_is_good_for_the_vips_on_controllers_only(host: Any, site: Any) -> None:
    wanted = "controller" in site.groups
    assert verifies(host, f"-verify_ip {site.vip('internal')}") == wanted
    assert verifies(host, f"-verify_ip {site.vip('public')}") == wanted


def test_it_is_good_for_both_ends_of_a_connection(host: Any) -> None:
    assert verifies(host, "-purpose sslserver")
    assert verifies(host, "-purpose sslclient")


def test_it_is_good_for_a_month_at_least(host: Any) -> None:
    assert host.run(f"openssl x509 -in {CERTIFICATE} -noout -checkend 2592000").rc == 0


def test_the_key_is_its_own_and_closed(host: Any) -> None:
    of_key = host.check_output(f"openssl pkey -in {KEY} -pubout")
    assert of_key == host.check_output(f"openssl x509 -in {CERTIFICATE} -noout -pubkey")
    file = host.file(KEY)
    assert (file.user, file.group, file.mode) == ("root", "cairn-tls", 0o640)


def test_no_key_but_the_hosts_own_is_there(host: Any) -> None:
    found = host.run("grep --recursive --files-with-matches 'PRIVATE KEY' /etc/cairn /usr/local")
    assert found.stdout.split() == [KEY]


def test_the_authority_stands_where_services_look_for_it(host: Any) -> None:
    authority = "/etc/ssl/certs/cairn-ca.pem"
    assert host.run(f"openssl verify -CAfile {authority} {CERTIFICATE}").rc == 0
