"""Each check fires on what it is for, and is silent otherwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cairn.preflight.callbacks import check_callbacks
from cairn.preflight.finding import ERROR, WARNING, Finding
from cairn.preflight.host import (
    MINIMUM_DISK_MB,
    MINIMUM_MEMORY_MB,
    check_clock,
    check_cloud_init,
    check_disk,
    check_foreign,
    check_host,
    check_memory,
    check_mirrors,
    check_reachable,
    check_system,
    check_virtualisation,
)
from cairn.preflight.inventory import (
    COMMON_WORDS,
    check_api_names,
    check_groups,
    check_host_names,
    check_secrets,
    check_variables,
)
from cairn.preflight.network import (
    check_name_servers,
    check_names,
    check_network,
    check_nics,
    check_peers,
    check_ports,
)
from cairn.preflight.report import table
from cairn.service import registry

Data = dict[str, Any]
PORTS = [
    {
        "role": "nova",
        "protocol": "tcp",
        "port": 8774,
        "plane": "management",
        "groups": ["compute"],
        "units": ["nova-api.service"],
    }
]


def said(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.severity, f.text) for f in findings]


def test_a_healthy_host_has_no_finding(site: Data, hosts: Data) -> None:
    for name in hosts:
        assert (
            check_host(
                name, hosts[name], site, hosts, PORTS, (), MINIMUM_MEMORY_MB, MINIMUM_DISK_MB
            )
            == []
        )


# --- groups


GROUPS = {
    "all": ["controller1", "network1", "compute1", "storage1", "localhost"],
    "controller": ["controller1"],
    "network": ["network1"],
    "compute": ["compute1"],
    "storage": ["storage1"],
    "operator": ["localhost"],
}


def test_good_groups() -> None:
    assert check_groups(GROUPS) == []


def test_an_empty_group() -> None:
    assert said(check_groups(GROUPS | {"compute": []})) == [
        (ERROR, "group compute is empty"),
    ]


@pytest.mark.parametrize("groups", [{"operator": []}, {}])
def test_the_warning_of_a_missing_operator_says_what_does_not_work(
    groups: dict[str, list[str]],
) -> None:
    without = {k: v for k, v in GROUPS.items() if k != "operator"} | groups
    (finding,) = check_groups(without)
    assert finding.severity == WARNING
    assert finding.text.startswith("group operator ")
    assert "make verify" in finding.remedy


def test_a_misspelt_group() -> None:
    groups = {k: v for k, v in GROUPS.items() if k != "compute"} | {"computes": ["compute1"]}
    texts = said(check_groups(groups))
    assert texts[0] == (ERROR, "group compute does not exist; is computes meant to be it?")


def test_storage_hosts_may_be_missing() -> None:
    groups = GROUPS | {"storage": [], "all": ["controller1", "network1", "compute1"]}
    assert said(check_groups(groups)) == [(WARNING, "group storage is empty")]


@pytest.mark.parametrize("name", ["bastion", "switches", "deployment", "ceph", "ungrouped"])
def test_hosts_and_groups_of_the_sites_own_are_left_alone(name: str) -> None:
    groups = GROUPS | {"all": [*GROUPS["all"], "other1"], name: ["other1", "compute1"]}
    assert check_groups(groups) == []


@pytest.mark.parametrize(
    ("group", "meant"),
    [
        ("contoller", "controller"),
        ("computes", "compute"),
        ("netwrok", "network"),
        ("storages", "storage"),
        ("operators", "operator"),
    ],
)
def test_a_misspelt_group_beside_the_right_one(group: str, meant: str) -> None:
    (finding,) = check_groups(GROUPS | {group: ["other1", "other2"]})
    assert finding.severity == WARNING
    assert f"group {group} is not one of Cairn's, so other1, other2 will not" in finding.text
    assert meant in finding.remedy


def test_a_group_above_or_below_cairns_is_no_slip() -> None:
    assert check_groups(GROUPS | {"computes": ["compute1"], "compute_2": []}) == []


@pytest.mark.parametrize(("count", "warned"), [(1, False), (2, True), (3, False), (4, True)])
def test_an_even_number_of_controllers(count: int, warned: bool) -> None:
    controllers = [f"controller{n}" for n in range(count)]
    found = check_groups(GROUPS | {"controller": controllers, "all": controllers})
    assert bool(found) == warned
    assert all(f.severity == WARNING for f in found)


# --- variables and secrets


KNOWN = {"cairn_planes", "cairn_release", "nova_config", "network_window"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cairn_plane", (ERROR, "did you mean cairn_planes?")),
        ("nova_confg", (ERROR, "did you mean nova_config?")),
        ("cairn_zzzzzzzz", (ERROR, "variable cairn_zzzzzzzz is unknown (site/x.yml)")),
        ("glance_zzzzzzzz", (WARNING, "no role of Cairn's reads the variable glance_zzzzzzzz")),
        ("nova_console", (WARNING, "no role of Cairn's reads the variable nova_console")),
        ("network_windw", (ERROR, "did you mean network_window?")),
        ("carin_planes", (WARNING, "looks like cairn_planes misspelt")),
        ("cairn_planes", None),
        ("cairn_site", None),
        ("our_own_variable", None),
        ("novacancy", None),
    ],
)
def test_names_of_variables(name: str, expected: tuple[str, str] | None) -> None:
    found = check_variables(
        {name: "site/x.yml"}, KNOWN, {"cairn_site"}, ["nova", "network", "glance"]
    )
    if expected is None:
        assert found == []
    else:
        (finding,) = found
        assert finding.severity == expected[0]
        assert expected[1] in finding.text
        assert "(site/x.yml)" in finding.text


@pytest.mark.parametrize(
    "name",
    [
        *("network_interface", "network_vlan", "base_domain", "base_url", "verify_ssl"),
        *("service_owner", "service_names", "operator_email", "operator_team", "pki_store"),
    ],
)
def test_a_sites_own_variables_may_begin_with_a_common_word(name: str) -> None:
    known, run = registry.variables()
    assert check_variables({name: "site/x.yml"}, known, run, registry.roles()) == []


def test_a_slip_in_any_known_name_is_an_error() -> None:
    """Each name of a role with one letter left out, doubled, or two of them swapped."""
    known, run = registry.variables()
    roles = registry.roles()
    for name in known:
        prefix = next((f"{r}_" for r in ("cairn", *roles) if name.startswith(f"{r}_")), "")
        tail = name.removeprefix(prefix)
        if prefix == "service_" or len(tail) < 4:
            continue
        mid = len(tail) // 2
        slips = {
            tail[:mid] + tail[mid + 1 :],
            tail[:mid] + tail[mid] + tail[mid:],
            tail[: mid - 1] + tail[mid] + tail[mid - 1] + tail[mid + 1 :],
        }
        for slip in slips - {tail}:
            if prefix + slip in known:
                continue
            found = check_variables({prefix + slip: ""}, known, run, roles)
            assert [f.severity for f in found] == [ERROR], prefix + slip


def test_common_words_are_roles() -> None:
    assert set(COMMON_WORDS) <= set(registry.roles())


def test_missing_secrets_name_the_command() -> None:
    (finding,) = check_secrets(["a", "b", "c", "d", "e", "f", "g"], True, "inventories/x")
    assert finding.text == "cairn_secrets lacks a, b, c, d, e and 2 more"
    assert finding.remedy == "make secrets INVENTORY=inventories/x"


def test_secrets_in_the_open() -> None:
    (finding,) = check_secrets([], False, "inventories/x")
    assert (finding.severity, finding.check) == (ERROR, "secrets")


@pytest.mark.parametrize("encrypted", [True, None])
def test_complete_secrets(encrypted: bool | None) -> None:
    assert check_secrets([], encrypted, "inventories/x") == []


# --- one host


@pytest.mark.parametrize(
    ("groups", "severity"),
    [
        (["compute"], WARNING),
        (["controller"], ERROR),
        (["network"], ERROR),
        (["storage"], ERROR),
        (["compute", "storage"], ERROR),
    ],
)
def test_only_a_compute_host_may_be_off(groups: list[str], severity: str) -> None:
    gone = {"unreachable": True, "msg": "ssh: connect to host x port 22: No route to host\nmore"}
    (finding,) = check_reachable("x", gone, groups)
    assert finding.severity == severity
    assert finding.text == ("cannot be reached: ssh: connect to host x port 22: No route to host")


def test_a_host_whose_probe_failed() -> None:
    (finding,) = check_reachable("x", {"failed": True, "msg": "no python"}, ["compute"])
    assert (finding.severity, finding.text) == (
        ERROR,
        "was reached but could not be asked: no python",
    )


def test_an_unreachable_host_has_no_other_finding(site: Data, hosts: Data) -> None:
    hosts["compute1"] = {"unreachable": True, "msg": "off"}
    found = check_host("compute1", hosts["compute1"], site, hosts, PORTS, (), {}, {})
    assert [f.check for f in found] == ["reachable"]


@pytest.mark.parametrize(
    ("changes", "severity", "text"),
    [
        ({"os": {"id": "ubuntu", "version": "24.04"}}, ERROR, "runs ubuntu 24.04"),
        ({"os": {"id": "debian", "version": "12"}}, ERROR, "runs debian 12"),
        ({"python": "3.11.2"}, ERROR, "has Python 3.11.2"),
        ({"arch": "riscv64"}, ERROR, "is an riscv64 machine"),
        ({"dpkg_unfinished": True}, WARNING, "has an interrupted package run"),
    ],
)
def test_system(host: Data, changes: Data, severity: str, text: str) -> None:
    assert check_system("compute1", host) == []
    assert said(check_system("compute1", host | changes)) == [(severity, text)]


def test_memory_of_the_most_demanding_group(host: Data) -> None:
    host["memory_mb"] = 2000
    least = {"controller": 3000, "compute": 1000}
    assert check_memory("x", host, ["compute"], least) == []
    assert said(check_memory("x", host, ["compute", "controller"], least)) == [
        (ERROR, "has 2000 MiB of memory; a controller host needs 3000")
    ]


@pytest.mark.parametrize(
    ("filesystems", "services", "texts"),
    [
        ({"/": 5000}, {}, []),
        ({"/": 3000}, {}, ["has 3000 MiB free on /; a compute host's first run needs 4000"]),
        ({"/": 3000}, {"nova": {}}, []),
        ({"/": 500}, {"nova": {}}, ["has 500 MiB free on /; this run needs 1000"]),
        (
            {"/": 5000, "/var": 100, "/opt": 5000},
            {},
            ["has 100 MiB free on /var; a compute host's first run needs 4000"],
        ),
        ({"/": 100, "/var": 5000, "/opt": 5000}, {}, []),
    ],
)
def test_disk(host: Data, filesystems: dict[str, int], services: Data, texts: list[str]) -> None:
    host["filesystems"] = {k: {"size_mb": 10**6, "free_mb": v} for k, v in filesystems.items()}
    host["services"] = services
    found = check_disk("x", host, ["compute"], MINIMUM_DISK_MB)
    assert [f.text for f in found] == texts


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1000.0, []),
        (1002.9, []),
        (998.5, []),
        (1010.0, [(WARNING, "is 9 s ahead of the control node")]),
        (940.0, [(ERROR, "is 60 s behind the control node")]),
    ],
)
def test_clock(host: Data, time: float, expected: list[tuple[str, str]]) -> None:
    host["time"] = time
    assert said(check_clock("x", host)) == expected


def test_a_nic_that_is_not_there(site: Data, host: Data) -> None:
    host["nics"]["stor0"]["mac"] = "52:54:00:00:99:99"
    (finding,) = check_nics("compute1", host, site["hosts"]["compute1"]["nics"])
    assert finding.text == (
        "has no NIC 52:54:00:00:14:13 (stor0); "
        "it has 52:54:00:00:00:13 (mgmt0), 52:54:00:00:99:99 (stor0)"
    )


def test_a_vlan_with_the_nics_mac_is_not_the_nic(site: Data, host: Data) -> None:
    host["nics"]["stor0"]["kind"] = "vlan"
    (finding,) = check_nics("compute1", host, site["hosts"]["compute1"]["nics"])
    assert "has no NIC 52:54:00:00:14:13" in finding.text


@pytest.mark.parametrize(("link", "count"), [(True, 0), (None, 0), (False, 1)])
def test_link(site: Data, host: Data, link: bool | None, count: int) -> None:
    host["nics"]["stor0"]["link"] = link
    found = check_nics("compute1", host, site["hosts"]["compute1"]["nics"])
    assert len(found) == count
    assert all(f.severity == ERROR and "has no link" in f.text for f in found)


@pytest.mark.parametrize(("other", "severity"), [(True, WARNING), (False, ERROR), (None, ERROR)])
def test_a_bond_goes_on_without_one_cable(
    site: Data, host: Data, other: bool | None, severity: str
) -> None:
    nics = site["hosts"]["compute1"]["nics"]
    nics["stor0"]["bond"] = nics["mgmt0"]["bond"] = "bond1"
    host["nics"]["stor0"]["link"], host["nics"]["mgmt0"]["link"] = False, other
    finding = check_nics("compute1", host, nics)[-1]
    assert finding.severity == severity
    assert finding.text.endswith("; bond1 works without it") == (severity == WARNING)


@pytest.mark.parametrize(("largest", "count"), [(9216, 0), (0, 0), (1500, 1)])
def test_a_nic_that_cannot_carry_its_mtu(site: Data, host: Data, largest: int, count: int) -> None:
    host["nics"]["stor0"]["max_mtu"] = largest
    found = check_nics("compute1", host, site["hosts"]["compute1"]["nics"])
    assert [f.text for f in found] == [
        "NIC stor0 supports an MTU of 1500 at most, not 9000"
    ] * count


@pytest.mark.parametrize(
    ("groups", "flags", "arch", "count"),
    [
        (["compute"], [], "x86_64", 1),
        (["compute"], ["svm"], "x86_64", 0),
        (["controller"], [], "x86_64", 0),
        (["compute"], [], "aarch64", 0),
    ],
)
def test_virtualisation(
    host: Data, groups: list[str], flags: list[str], arch: str, count: int
) -> None:
    found = check_virtualisation("x", host | {"cpu_flags": flags, "arch": arch}, groups)
    assert [f.severity for f in found] == [WARNING] * count


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["10.0.0.10"], []),
        (["10.9.9.9", "10.0.0.10"], []),
        ([], [(WARNING, "does not resolve api.internal")]),
        (
            ["10.9.9.9"],
            [(ERROR, "resolves api.internal to 10.9.9.9, not the internal VIP 10.0.0.10")],
        ),
    ],
)
def test_names(
    site: Data, host: Data, addresses: list[str], expected: list[tuple[str, str]]
) -> None:
    host["resolved"] = {"api.internal": addresses}
    assert said(check_names("x", host, site["names"], site["vips"])) == expected


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({}, None),
        ({"lent": ["192.0.2.1"]}, ERROR),
        ({"lent": ["192.0.2.1"], "kept": ["192.0.2.2"]}, None),
    ],
)
def test_name_servers_that_the_change_of_networks_takes_away(
    site: Data, host: Data, change: Data, severity: str | None
) -> None:
    host["name_servers"] = {"servers": ["127.0.0.53"], "lent": [], "kept": []} | change
    assert check_name_servers("compute1", host, site) == []  # nothing changes
    host["network"]["hash"] = ""
    found = check_name_servers("compute1", host, site)
    assert [f.severity for f in found] == ([severity] if severity else [])
    if found:
        assert "DNS=192.0.2.1\\n" in found[0].remedy
        (kept,) = check_name_servers("compute1", host, site, ["10-dns*"])
        assert kept.severity == WARNING


def test_cloud_init_that_would_rewrite_etc_hosts(host: Data) -> None:
    assert check_cloud_init("x", host) == []
    host["cloud_init"] = ["/var/lib/cloud/instance/cloud-config.txt"]
    (finding,) = check_cloud_init("x", host)
    assert finding.severity == ERROR
    assert "/var/lib/cloud/instance/cloud-config.txt" in finding.text
    (finding,) = check_cloud_init("x", host | {"services": {"nova": {}}})
    assert finding.severity == WARNING


PUBLIC = {"internal": "10.0.0.10", "public": "cloud.example.org"}


@pytest.mark.parametrize(
    ("addresses", "fronts", "expected"),
    [
        (["10.0.30.10"], [], []),
        (["198.51.100.7"], ["198.51.100.7"], []),
        (["10.0.30.10"], ["198.51.100.7"], []),  # from inside, where the DNS is split
        (
            ["198.51.100.7"],
            [],
            [(ERROR, "resolves cloud.example.org to 198.51.100.7, not the public VIP 10.0.30.10")],
        ),
        (
            ["198.51.100.8"],
            ["198.51.100.7"],
            [
                (
                    ERROR,
                    "resolves cloud.example.org to 198.51.100.8, not the public VIP 10.0.30.10 "
                    "or 198.51.100.7 (cairn_public_address)",
                )
            ],
        ),
        ([], ["198.51.100.7"], [(WARNING, "does not resolve cloud.example.org")]),
    ],
)
def test_a_public_name_that_leads_to_a_router(
    site: Data, host: Data, addresses: list[str], fronts: list[str], expected: Any
) -> None:
    host["resolved"] = {"cloud.example.org": addresses}
    found = check_names("x", host, PUBLIC, site["vips"], fronts)
    assert said(found) == expected
    if found and not fronts:
        assert "cairn_public_address: 198.51.100.7" in found[0].remedy
    if found and not addresses:
        assert "(198.51.100.7)" in found[0].remedy


def test_only_the_public_name_may_lead_elsewhere(site: Data, host: Data) -> None:
    host["resolved"] = {"api.internal": ["198.51.100.7"]}
    (finding,) = check_names("x", host, site["names"], site["vips"], ["198.51.100.7"])
    assert "cairn_public_address" not in finding.text + finding.remedy


@pytest.mark.parametrize(
    ("side", "name", "fronts", "expected"),
    [
        ("public", "cloud.example.org", [], None),
        ("public", "10.0.30.10", [], None),
        ("public", "198.51.100.7", ["198.51.100.7"], None),
        ("public", "cloud.example.org", ["198.51.100.7", "198.51.100.8"], None),
        ("internal", "api.internal", [], None),
        ("public", "198.51.100.7", [], "is 198.51.100.7, and the public VIP is 10.0.30.10"),
        ("internal", "10.0.30.10", [], "is 10.0.30.10, and the internal VIP is 10.0.0.10"),
        ("public", "https://cloud.example.org", [], "has '/', ':'"),
        ("public", "cloud_1.example.org", [], "has '_'"),
        ("internal", "api.internal.", [], "empty part"),
        ("public", "cloud.example.org", ["router"], "has 'router', which is no IP address"),
        ("public", "10.0.30.10", ["198.51.100.7"], "cairn_public_name is the public VIP itself"),
    ],
)
def test_names_of_apis(
    site: Data, side: str, name: str, fronts: list[str], expected: str | None
) -> None:
    names = {"internal": "10.0.0.10", "public": "10.0.30.10", side: name}
    found = check_api_names(names, site["vips"], fronts)
    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0].text


@pytest.mark.parametrize(
    "name",
    [
        *("ctl1", "Ctl-1", "CTL1", "controller1.lab.example", "1st", "ctl.1a", "a" * 63),
        *(f"{'a' * 40}.{'b' * 23}", "host-0x10", "xn--strae-oqa"),
    ],
)
def test_names_that_hosts_may_have(site: Data, name: str) -> None:
    assert check_host_names([name], site["names"]) == []


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("ctl_01", "has '_'", "for example to ctl-01"),
        ("straße", "has 'ß'", "for example to stra-e"),
        ("ctl 1", "has ' '", "for example to ctl-1"),
        ("-ctl1", "a dash at the start or end of '-ctl1'", "for example to ctl1"),
        ("ctl1-.example", "a dash at the start or end of 'ctl1-'", "for example to ctl1.example"),
        (".ctl1", "an empty part", "for example to ctl1"),
        ("ctl1.", "an empty part", "for example to ctl1"),
        ("a..b", "an empty part", "for example to a.b"),
        ("a" * 64, "a part of 64 characters; 63 are allowed", f"to {'a' * 63}"),
        (f"{'a' * 40}.{'b' * 24}", "has 65 characters; 64 are allowed", "rename it"),
        ("198.18.0.11", "is an IP address", "set ansible_host to its address"),
        ("fd00::1", "is an IP address", "set ansible_host to its address"),
        ("12345", "ends in a number", "rename it"),
        ("0x10", "ends in a number", "rename it"),
        ("rack.12", "ends in a number", "rename it"),
        ("localhost", "leads to 127.0.0.1", "ctl1: {ansible_connection: local}"),
        ("localhost.localdomain", "leads to 127.0.0.1", "ctl1: {ansible_connection: local}"),
    ],
)
def test_names_that_no_host_can_have(site: Data, name: str, text: str, remedy: str) -> None:
    (finding,) = check_host_names([name], site["names"])
    assert (finding.severity, finding.host) == (ERROR, name)
    assert text in finding.text
    assert remedy in finding.remedy


def test_two_hosts_whose_names_no_resolver_tells_apart(site: Data) -> None:
    (finding,) = check_host_names(["ctl1", "ctl2", "Ctl1"], site["names"])
    assert (finding.host, finding.text) == (
        "Ctl1",
        "differs from ctl1 in capital letters only, which resolvers ignore",
    )


@pytest.mark.parametrize(
    ("controllers", "fires"),
    [
        (["ctl1", "ctl2"], False),
        (["ctl1.example", "ctl2.example", "ctl3.other"], False),
        (["ctl1.example", "ctl2", "ctl3"], True),
        ([], False),
    ],
)
def test_controllers_are_all_qualified_or_none(
    site: Data, controllers: list[str], fires: bool
) -> None:
    found = check_host_names([], site["names"], controllers)
    assert len(found) == fires
    assert (
        not fires or found[0].text == "ctl1.example have dots in their names, ctl2, ctl3 have none"
    )


def test_a_host_with_the_name_of_an_api(site: Data) -> None:
    (finding,) = check_host_names(["ctl1", "API.internal"], site["names"])
    assert (finding.host, finding.text) == (
        "API.internal",
        "is also cairn_internal_name: one name would have two addresses",
    )


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("cdrom://[Debian 13]", "remove it from /etc/apt/sources.list"),
        ("file:/srv/mirror", "mount or copy the mirror there"),
        ("/etc/apt", "correct that file"),
        ("mirror+file:/etc/apt/mirrors/debian.list", "Acquire::http::Proxy"),
        ("https://m.example/debian", "Acquire::http::Proxy"),
    ],
)
def test_each_kind_of_package_source_has_its_remedy(host: Data, source: str, remedy: str) -> None:
    host["mirrors"] = {source: "why"}
    (finding,) = check_mirrors("x", host)
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("mirrors", "services", "expected"),
    [
        ({"http://m": ""}, {}, []),
        (
            {"http://m": "m does not resolve", "http://n": ""},
            {},
            [(ERROR, "gets no packages from http://m: m does not resolve")],
        ),
        (
            {"http://m": "m port 80: timed out"},
            {"nova": {}},
            [(WARNING, "gets no packages from http://m: m port 80: timed out")],
        ),
        ({}, {}, [(ERROR, "has no package source")]),
    ],
)
def test_mirrors(
    host: Data, mirrors: Data, services: Data, expected: list[tuple[str, str]]
) -> None:
    assert said(check_mirrors("x", host | {"mirrors": mirrors, "services": services})) == expected


def test_no_finding_tells_the_password_of_a_url(host: Data) -> None:
    mirrors = {"https://svc:word@mirror.example/debian": "port 443: Connection refused"}
    (found,) = check_mirrors("x", host | {"mirrors": mirrors})
    assert "svc:********@mirror.example" in found.text
    assert "word" not in str(found.as_dict()) + table([found])


@pytest.mark.parametrize(
    ("entry", "other"),
    [
        ({"address": "0.0.0.0", "unit": "apache2.service"}, "apache2.service"),  # noqa: S104
        ({"address": "::", "unit": ""}, "another process"),
        ({"address": "10.0.0.13", "unit": "node"}, "node"),
        ({"address": "10.0.0.10", "unit": "node"}, "node"),
        ({"address": "127.0.0.1", "unit": "node"}, None),
        ({"address": "10.0.20.13", "unit": "node"}, None),
        ({"address": "10.0.0.13", "unit": "nova-api.service"}, None),
        ({"address": "10.0.0.10", "unit": "haproxy.service"}, None),
        ({"address": "0.0.0.0", "unit": "apache2.service", "port": 80}, None),  # noqa: S104
        ({"address": "0.0.0.0", "unit": "apache2.service", "protocol": "udp"}, None),  # noqa: S104
    ],
)
def test_ports(site: Data, host: Data, entry: Data, other: str | None) -> None:
    host["listening"] = [{"port": 8774, "protocol": "tcp"} | entry]
    addresses = site["hosts"]["compute1"]["addresses"]
    found = check_ports("x", host, addresses, PORTS, ["10.0.0.10"])
    expected = [f"port 8774 is nova's, but {other} listens on it"] if other else []
    assert [f.text for f in found] == expected


def test_the_finding_on_a_udp_port_says_where_to_look(site: Data, host: Data) -> None:
    tunnels = {**PORTS[0], "role": "Geneve", "protocol": "udp", "port": 6081, "units": [""]}
    addresses = site["hosts"]["compute1"]["addresses"]

    def found(**entry: str) -> list[Finding]:
        host["listening"] = [{"port": 6081, "protocol": "udp", "address": "::", "unit": ""} | entry]
        return check_ports("x", host, addresses, [tunnels])

    assert found() == []  # the kernel's own
    assert found(protocol="tcp", unit="node") == []
    (finding,) = found(unit="node")
    assert finding.text == "UDP port 6081 is Geneve's, but node listens on it"
    assert finding.remedy == "find and stop it (ss -lunp sport = :6081)"


def test_ports_of_other_groups_are_nobodys_business(site: Data, hosts: Data) -> None:
    listening = {"port": 8774, "protocol": "tcp", "address": "::", "unit": "x"}
    hosts["controller1"]["listening"] = [listening]
    assert (
        check_host("controller1", hosts["controller1"], site, hosts, PORTS, (), {}, MINIMUM_DISK_MB)
        == []
    )


@pytest.mark.parametrize(
    ("owners", "foreign"),
    [
        ([], True),  # made by hand, or by another tool
        (["nova-common"], True),  # Debian's own nova
        (["libvirt-daemon-system"], False),  # Cairn's package, from a run that was cut off
        (["libvirt-daemon-system", "nova-common"], True),
    ],
)
def test_an_installation_of_somebody_else(host: Data, owners: list[str], foreign: bool) -> None:
    assert check_foreign("x", host, ["libvirt-daemon-system"]) == []
    host["folders"] = {"nova": owners}
    found = check_foreign("x", host, ["libvirt-daemon-system"])
    assert [f.text for f in found] == ["has an /etc/nova that is not Cairn's"] * foreign


def answer(**changes: Any) -> Data:
    return {
        "host": "controller1",
        "plane": "storage",
        "address": "10.0.20.11",
        "size": 9000,
        "small": True,
        "full": True,
        "error": "",
    } | changes


def test_peers_that_answer(site: Data, host: Data, hosts: Data) -> None:
    host["peers"] = [answer()]
    assert check_peers("compute1", host, site, hosts) == []


def test_a_peer_behind_too_small_an_mtu(site: Data, host: Data, hosts: Data) -> None:
    host["peers"] = [answer(full=False)]
    (finding,) = check_peers("compute1", host, site, hosts)
    assert finding.text == (
        "gets no answer from controller1 (10.0.20.11) on plane storage at 9000 bytes, "
        "though it answers small packets: an MTU on the way is too low"
    )


@pytest.mark.parametrize("who", ["compute1", "controller1"])
def test_peers_whose_network_is_about_to_change_are_not_asked(
    site: Data, host: Data, hosts: Data, who: str
) -> None:
    host["peers"] = [answer(full=False, small=False)]
    hosts[who]["network"]["hash"] = "another"
    assert check_peers("compute1", host, site, hosts) == []


def test_a_peer_that_is_off_is_not_a_peers_fault(site: Data, host: Data, hosts: Data) -> None:
    host["peers"] = [answer(full=False, small=False)]
    hosts["controller1"] = {"unreachable": True}
    assert check_peers("compute1", host, site, hosts) == []


def test_network(host: Data) -> None:
    assert check_network("x", host) == []
    host["network"]["unconfirmed"] = True
    assert [f.severity for f in check_network("x", host)] == [WARNING]
    host["network"]["unconfirmed"] = False
    host["nics"] = {}
    assert [f.remedy for f in check_network("x", host)] == ["apt-get install iproute2"]


# --- the table


def test_the_table_puts_errors_first_and_merges_hosts() -> None:
    shown = table(
        [
            Finding(WARNING, "virtualisation", "is slow", "buy", "compute1"),
            Finding(ERROR, "disk", "is full", "tidy", "compute1"),
            Finding(ERROR, "disk", "is full", "tidy", "compute2"),
            Finding(ERROR, "secrets", "lacks x", "make secrets"),
        ]
    )
    assert shown.splitlines() == [
        "ERROR    disk            compute1, compute2: is full",
        "                         → tidy",
        "ERROR    secrets         site: lacks x",
        "                         → make secrets",
        "WARNING  virtualisation  compute1: is slow",
        "                         → buy",
    ]


def test_the_table_wraps_long_lines() -> None:
    shown = table([Finding(ERROR, "disk", "is full " * 40, "tidy", "x")], width=80)
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_table_breaks_no_path_and_no_option() -> None:
    path = "/srv/my-sites/" + "a-long-name/" * 8 + "secrets.yml"
    finding = Finding(
        ERROR, "variables", f"something is wrong here ({path})", f"see --{'x-' * 60}y"
    )
    shown = table([finding], width=80)
    assert path in shown and f"--{'x-' * 60}y" in shown


def test_no_finding_no_table() -> None:
    assert table([]) == ""


def test_remedies_name_playbooks_that_exist(root: Path) -> None:
    text = "".join(path.read_text() for path in (root / "cairn/preflight").glob("*.py"))
    named = set(re.findall(r"playbooks/[\w/-]+\.yml", text))
    assert {name for name in named if not (root / name).exists()} == set()


# --- callbacks


@pytest.mark.parametrize(
    ("stdout", "enabled"),
    [
        ("cairn_progress", ["cairn_no_hosts", "cairn_summary"]),
        ("default", ["cairn_summary", "ansible.posix.profile_tasks"]),
        ("ansible.posix.json", ["cairn_summary"]),
        ("cairn_progress", []),
    ],
)
def test_callbacks_that_show_by_the_display_are_masked(stdout: str, enabled: list[str]) -> None:
    assert check_callbacks(stdout, enabled) == []


@pytest.mark.parametrize("name", ["junit", "community.general.log_plays", "example.site.json"])
def test_a_callback_that_keeps_results_itself_is_named(name: str) -> None:
    (found,) = check_callbacks("cairn_progress", [name])
    assert found.severity == WARNING
    assert (
        f"the callback {name.removeprefix('community.general.')} gets unmasked results"
        in found.text
    )
