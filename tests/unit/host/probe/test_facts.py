"""What a host says about itself, read from a made-up file system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cairn_host.probe import facts

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return put


def test_the_system(tmp_path: Path, write: Write) -> None:
    write("etc/os-release", 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nX="a b"\n')
    assert facts.read_os(tmp_path) == {"id": "debian", "version": "13", "codename": "trixie"}


def test_memory_and_processor(tmp_path: Path, write: Write) -> None:
    write("proc/meminfo", "MemTotal:        4020764 kB\nMemFree: 1 kB\n")
    write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx sse\n")
    assert facts.read_memory_mb(tmp_path) == 3926
    assert facts.read_cpu_flags(tmp_path) == ["vmx"]


def test_a_processor_without_flags(tmp_path: Path, write: Write) -> None:
    write("proc/cpuinfo", "processor\t: 0\n")
    assert facts.read_cpu_flags(tmp_path) == []


def test_disks_and_whether_they_are_used(tmp_path: Path, write: Write) -> None:
    write("proc/self/mounts", "/dev/vdc /srv ext4 rw 0 0\n")
    write("sys/block/vda/size", "41943040\n")
    write("sys/block/vda/vda1/partition", "1\n")
    write("sys/block/vdb/size", "2097152\n")
    write("sys/block/vdc/size", "2097152\n")
    write("sys/block/loop0/size", "0\n")
    assert facts.read_disks(tmp_path) == {
        "vda": {"size_mb": 20480, "used": True},
        "vdb": {"size_mb": 1024, "used": False},
        "vdc": {"size_mb": 1024, "used": True},
    }


def test_nics() -> None:
    shown = [
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "address": "00:00:00:00:00:00"},
        {
            "ifname": "eno1",
            "flags": ["BROADCAST", "UP", "LOWER_UP"],
            "address": "52:54:00:aa:aa:aa",
            "permaddr": "52:54:00:00:00:01",
            "mtu": 1500,
            "max_mtu": 9000,
            "addr_info": [
                {"local": "10.0.0.1", "prefixlen": 24, "scope": "global"},
                {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
            ],
        },
        {"ifname": "eno2", "flags": ["BROADCAST"], "address": "52:54:00:00:00:02", "mtu": 1500},
        {
            "ifname": "eno3",
            "flags": ["NO-CARRIER", "UP"],
            "address": "52:54:00:aa:aa:aa",
            "linkinfo": {"info_slave_data": {"perm_hwaddr": "52:54:00:00:00:03"}},
        },
        {"ifname": "eno1.20", "flags": ["UP"], "linkinfo": {"info_kind": "vlan"}},
    ]
    nics = facts.read_nics(shown)
    assert list(nics) == ["eno1", "eno2", "eno3", "eno1.20"]
    assert [n["mac"] for n in nics.values()] == [
        "52:54:00:00:00:01",
        "52:54:00:00:00:02",
        "52:54:00:00:00:03",
        "",
    ]
    assert [n["link"] for n in nics.values()] == [True, None, False, True]
    assert nics["eno1"]["addresses"] == ["10.0.0.1/24"]
    assert nics["eno1.20"]["kind"] == "vlan"


def test_who_listens(tmp_path: Path, write: Write) -> None:
    head = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout\n"
    )
    row = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 {} 1 0\n"
    write(
        "proc/net/tcp",
        head
        + row.format("0100007F:0CEA", "0A", "111")
        + row.format("0B00120A:0016", "01", "112"),  # established: not listening
    )
    write("proc/net/tcp6", head + row.format("0" * 32 + ":0016", "0A", "113"))
    write(
        "proc/net/udp",
        head
        + row.format("00000000:007B", "07", "114")
        + row.format("0B00120A:8000", "01", "115")  # connected: somebody's request
        + row.format("00000000:17C1", "07", "0"),  # a tunnel's
    )
    write("proc/43/cgroup", "0::/system.slice/ntpd.service\n")
    (tmp_path / "proc/43/fd").mkdir()
    (tmp_path / "proc/43/fd/3").symlink_to("socket:[114]")
    write("proc/42/cgroup", "0::/system.slice/mariadb.service\n")
    write("proc/42/comm", "mariadbd\n")
    (tmp_path / "proc/42/fd").mkdir()
    (tmp_path / "proc/42/fd/7").symlink_to("socket:[111]")
    assert facts.read_listening(tmp_path) == [
        {"port": 22, "protocol": "tcp", "address": "::", "unit": ""},
        {"port": 123, "protocol": "udp", "address": "0.0.0.0", "unit": "ntpd.service"},  # noqa: S104
        {"port": 3306, "protocol": "tcp", "address": "127.0.0.1", "unit": "mariadb.service"},
        {"port": 6081, "protocol": "udp", "address": "0.0.0.0", "unit": ""},  # noqa: S104
    ]


STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n"
UPLINKS = "# resolved\nnameserver 192.0.2.1\nnameserver fe80::1%2\n"


def test_name_servers_of_a_plain_file(tmp_path: Path, write: Write) -> None:
    write("etc/resolv.conf", "# nameserver 1.1.1.1\nsearch lan\nnameserver 192.0.2.1\n")
    write("run/systemd/resolve/resolv.conf", UPLINKS)
    found = facts.read_name_servers(tmp_path)
    assert found == {"servers": ["192.0.2.1"], "lent": [], "kept": []}
    (tmp_path / "etc/resolv.conf").unlink()
    assert facts.read_name_servers(tmp_path)["servers"] == []


@pytest.mark.parametrize(
    ("files", "lent", "kept"),
    [
        ({}, ["192.0.2.1", "fe80::1%2"], []),
        ({"etc/systemd/resolved.conf": "[Resolve]\n#DNS=\n"}, ["192.0.2.1", "fe80::1%2"], []),
        (
            {"etc/systemd/resolved.conf.d/dns.conf": "[Resolve]\nDNS=192.0.2.1 192.0.2.2\n"},
            ["fe80::1%2"],
            ["192.0.2.1", "192.0.2.2"],
        ),
        (
            {
                "etc/systemd/resolved.conf": "DNS=192.0.2.1\nFallbackDNS=192.0.2.9\n",
                "etc/systemd/resolved.conf.d/dns.conf": "DNS=\n",
            },
            ["192.0.2.1", "fe80::1%2"],
            ["192.0.2.9"],
        ),
    ],
)
def test_name_servers_of_systemd_resolved(
    tmp_path: Path, write: Write, files: dict[str, str], lent: list[str], kept: list[str]
) -> None:
    write("run/systemd/resolve/stub-resolv.conf", STUB)
    write("run/systemd/resolve/resolv.conf", UPLINKS)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    for name, text in files.items():
        write(name, text)
    found = facts.read_name_servers(tmp_path)
    assert found == {"servers": ["127.0.0.53"], "lent": lent, "kept": kept}


USER_DATA = "var/lib/cloud/instance/cloud-config.txt"
VENDOR_DATA = "var/lib/cloud/instance/vendor-cloud-config.txt"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, []),
        ({USER_DATA: "#cloud-config\n\nhostname: a\n"}, []),
        ({USER_DATA: "manage_etc_hosts: false\n"}, []),
        ({USER_DATA: "# manage_etc_hosts: true\nx:\n  manage_etc_hosts: true\n"}, []),
        ({USER_DATA: "a: 1\nmanage_etc_hosts: true\n"}, [f"/{USER_DATA}"]),
        ({USER_DATA: "manage_etc_hosts: localhost\n"}, [f"/{USER_DATA}"]),
        ({USER_DATA: "'manage_etc_hosts': 'True'\n"}, [f"/{USER_DATA}"]),
        ({VENDOR_DATA: "manage_etc_hosts: true\n"}, [f"/{VENDOR_DATA}"]),
        (
            {USER_DATA: "manage_etc_hosts: false\n", VENDOR_DATA: "manage_etc_hosts: true\n"},
            [],
        ),
        ({USER_DATA: "manage_etc_hosts: true\n", "etc/cloud/cloud-init.disabled": ""}, []),
    ],
)
def test_what_goes_over_cloud_inits_configuration(
    tmp_path: Path, write: Write, files: dict[str, str], found: list[str]
) -> None:
    for name, text in files.items():
        write(name, text)
    assert facts.read_cloud_init(tmp_path) == []  # not installed
    write("usr/bin/cloud-init", "")
    assert facts.read_cloud_init(tmp_path) == found


def test_folders_of_etc_and_whose_they_are(tmp_path: Path, write: Write) -> None:
    for name in ("nova", "swift", "glance"):
        write(f"etc/{name}/{name}.conf", "")
    (tmp_path / "etc/heat").mkdir()  # empty: nobody's
    (tmp_path / "etc/keystone").symlink_to(tmp_path / "etc/nova")  # a generation
    write("var/lib/dpkg/info/nova-common.list", "/.\n/etc\n/etc/nova\n/etc/nova/nova.conf\n")
    write("var/lib/dpkg/info/libswift:amd64.list", "/etc/swift\n")
    write("var/lib/dpkg/info/other.list", "/etc/novae\n")
    names = ["cinder", "glance", "heat", "keystone", "nova", "swift"]
    assert facts.read_folders(tmp_path, names) == {
        "glance": [],
        "nova": ["nova-common"],
        "swift": ["libswift"],
    }
