"""On real machines: hosts as an installer leaves them get bonds and planes, or keep what they had.

One is configured by ifupdown with an address of its own, one by ifupdown and DHCP, one by netplan.
Needs root and about 1.5 GiB of memory: `pytest -m lab tests/lab/network`. Makes a lab of its own,
`metal`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .machines import Machines, end, wait

pytestmark = pytest.mark.lab
HOSTS = ("east", "west", "north")
# Where the DHCP server puts north; the others have their planes' address from the beginning.
LEASED = {"north": "198.18.0.213"}
BEFORE = {"east": "198.18.0.11", "west": "198.18.0.12", **LEASED}
INSTALLED = ("-i", "tests/lab/network/installed")
SHORT = {"network_window": 25}
# The lab's way in gives up an address that is gone after 20 s only.
LONG = {"network_window": 90}
BOOT = "cat /proc/sys/kernel/random/boot_id"

NICS = """
set -e
nic0=$(basename $(dirname $(grep -il '52:54:00:19:00' /sys/class/net/*/address)))
nic1=$(basename $(dirname $(grep -il '52:54:00:19:01' /sys/class/net/*/address)))
"""
PACKAGES = """
grep -m1 ' trixie ' /etc/apt/sources.list > /root/main.list
apt() {{ apt-get -qq -oDir::Etc::SourceList=/root/main.list -oAcquire::Languages=none "$@"; }}
export DEBIAN_FRONTEND=noninteractive
apt update && apt install --no-install-recommends {packages} > /dev/null
rm /etc/systemd/network/*
systemctl disable --quiet systemd-networkd.service
"""
# As Debian's installer writes it, and as administrators go on.
IFUPDOWN = """
cat > /etc/network/interfaces << END
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug $nic0
iface $nic0 inet {method}
END
cat > /etc/network/interfaces.d/second << END
auto $nic1
iface $nic1 inet static
        address {second}/24
END
"""
STATIC = "static\n        address 198.18.0.11/24\n        gateway 198.18.0.1"
NETPLAN = """
umask 077
cat > /etc/netplan/01-site.yaml << END
network:
  ethernets:
    $nic0:
      addresses: [198.18.0.12/24]
      routes: [{to: default, via: 198.18.0.1}]
END
"""
INSTALLERS = {
    "east": PACKAGES.format(packages="ifupdown")
    + IFUPDOWN.format(method=STATIC, second="198.18.77.11"),
    "west": PACKAGES.format(packages="netplan-generator") + NETPLAN,
    "north": PACKAGES.format(packages="ifupdown dhcpcd-base")
    + IFUPDOWN.format(method="dhcp", second="198.18.77.13"),
}


def each(do: Callable[[str], Any]) -> dict[str, Any]:
    """Do something on all hosts at once; the answers by host."""
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        return dict(zip(HOSTS, pool.map(do, HOSTS), strict=True))


def reachable_again(machines: Machines, boots: dict[str, str], addresses: dict[str, str]) -> None:
    """Return when every host has booted since `boots` was read."""

    def back(host: str) -> None:
        def booted() -> bool:
            done = machines.ssh(host, BOOT, addresses.get(host, ""))
            return done.returncode == 0 and done.stdout != boots[host]

        wait(120, booted, f"{host} did not come back")

    each(back)


@pytest.fixture(scope="module")
def machines(root: Path) -> Iterator[Machines]:
    """Three machines, and a DHCP server on their wire; removed afterwards."""
    made = Machines(root, "metal", "tests/lab/network/metal")
    up = made.lab("up")
    assert up.returncode == 0, up.stderr
    lease = ("trunk", "198.18.0.1", "52:54:00:19:00:a3", LEASED["north"])
    serve = made.lab_command("exec", "--", sys.executable, "tests/lab/network/dhcp.py", *lease)
    server = made.start(serve)
    yield made
    end(server)
    made.lab("destroy")


@pytest.fixture(scope="module")
def installed(machines: Machines) -> Machines:
    """The machines, booted with what an installer leaves."""
    boots = each(lambda host: machines.shell(host, BOOT))
    each(lambda host: machines.shell(host, NICS + INSTALLERS[host]))
    each(lambda host: machines.ssh(host, "systemctl reboot"))
    reachable_again(machines, boots, BEFORE)
    return machines


@pytest.fixture(scope="module")
def taken_over(installed: Machines) -> Machines:
    """The machines with their planes; they are Cairn's now."""
    done = installed.play(LONG, *INSTALLED)
    assert done.returncode == 0, done.stdout
    assert "north has the address 198.18.0.13 now" in done.stdout + done.stderr
    return installed


def as_installed(machines: Machines) -> None:
    """Every host has its own network, by the hand of its own manager."""

    def show(host: str) -> str:
        ask = (
            "ip -br -4 address; ip route; cat /etc/resolv.conf; pgrep -a dhcpcd; ifquery --state; "
            "echo networkd is $(systemctl is-active systemd-networkd)"
        )
        return machines.shell(host, ask, BEFORE[host])

    shown = each(show)
    for host, address in BEFORE.items():
        assert f"{address}/24" in shown[host]
        assert "default via 198.18.0.1" in shown[host]
        assert "bond0" not in shown[host]
    for host, second in (("east", "198.18.77.11"), ("north", "198.18.77.13")):
        assert "networkd is inactive" in shown[host]
        assert f"{second}/24" in shown[host]
        # ifupdown has both of them up, and the loopback.
        assert sum(first == last for first, _, last in states(shown[host])) == 3, shown[host]
    assert "dhcpcd" in shown["north"]
    assert "nameserver 198.18.0.1" in shown["north"]
    assert "networkd is active" in shown["west"]


def states(shown: str) -> list[tuple[str, str, str]]:
    """Lines like `eth0=eth0`."""
    return [line.partition("=") for line in shown.splitlines() if "=" in line and " " not in line]


# Nobody is on VLAN 99.
WRONG = SHORT | {
    "cairn_host_planes": {
        "management": {"interface": "bond0", "vlan": 99},
        "storage": {"interface": "bond0"},
        "service": {"interface": "bond0"},
    }
}


def test_the_machines_are_as_an_installer_leaves_them(installed: Machines) -> None:
    as_installed(installed)


def test_what_cannot_be_reached_gets_its_own_network_back(installed: Machines) -> None:
    done = installed.play(WRONG, *INSTALLED)
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "did not get through over the new network within 25 s" in said
    assert said.count("The old configuration is restored and the host is reachable") >= len(HOSTS)
    as_installed(installed)


def test_a_power_cut_within_the_window_boots_as_installed(installed: Machines) -> None:
    boots = each(lambda host: installed.shell(host, BOOT, BEFORE[host]))
    running = installed.start([*installed.play_command(WRONG), *INSTALLED])

    def away(host: str) -> None:
        ping = ("exec", "--", "ping", "-c1", "-W1", BEFORE[host])
        wait(60, lambda: installed.lab(*ping).returncode != 0, f"{host} stayed where it was")

    try:
        each(away)
        time.sleep(2)
        assert installed.lab("kill", *HOSTS).returncode == 0
    finally:
        end(running)
    starting = installed.start(installed.lab_command("start", *HOSTS))
    try:
        reachable_again(installed, boots, BEFORE)
    finally:
        end(starting)  # it looks for north where its planes will be
    as_installed(installed)
    for host in HOSTS:
        reverted = "cat /var/lib/cairn/network/trial/reverted.json"
        assert "restarted before" in installed.shell(host, reverted, BEFORE[host])


def have_their_planes(machines: Machines) -> None:
    line = "ip -br -4 address | grep -o 198.* | sort; ip route show default; cat /etc/resolv.conf"
    shown = each(lambda host: machines.shell(host, line))
    for number, host in enumerate(HOSTS, start=11):
        *addresses, route = [text.rstrip() for text in shown[host].splitlines()[:4]]
        assert addresses == [f"198.18.{plane}.{number}/24" for plane in (0, 20, 30)]
        assert route == "default via 198.18.0.1 dev bond0 proto static mtu 1500"
        assert "nameserver" in shown[host]


def test_the_planes_are_on_the_bond(taken_over: Machines) -> None:
    have_their_planes(taken_over)


@pytest.mark.parametrize("host", ["east", "north"])
def test_ifupdown_has_nothing_left_to_do(taken_over: Machines, host: str) -> None:
    assert taken_over.shell(host, "ifquery --state; pgrep dhcpcd || true") == "lo=lo\n"
    left = "ifquery --list --allow=hotplug; ls /etc/network/interfaces.d"
    assert taken_over.shell(host, left) == ""
    kept = "cd /var/lib/cairn/network/retired/etc/network; cat interfaces interfaces.d/second"
    assert "allow-hotplug" in taken_over.shell(host, kept)


def test_what_netplan_had_is_put_aside(taken_over: Machines) -> None:
    assert taken_over.shell("west", "ls /etc/netplan /run/systemd/network").count("yaml") == 0
    taken_over.shell("west", "test -f /var/lib/cairn/network/retired/etc/netplan/01-site.yaml")


def test_they_come_back_with_cairns_units_alone(taken_over: Machines) -> None:
    boots = each(lambda host: taken_over.shell(host, BOOT))
    each(lambda host: taken_over.ssh(host, "systemctl reboot"))
    reachable_again(taken_over, boots, {})
    have_their_planes(taken_over)
    failed = each(lambda host: taken_over.shell(host, "systemctl list-units --failed -q"))
    assert set(failed.values()) == {""}
    done = taken_over.play({})
    assert done.returncode == 0, done.stdout
    assert "network : Apply" not in done.stdout


def peers_answer(machines: Machines, host: str) -> None:
    """Every other host answers on the VLAN planes at their full MTU."""
    others = [n for n, other in enumerate(HOSTS, start=11) if other != host]
    addresses = [f"198.18.{plane}.{n}" for plane in (20, 30) for n in others]
    ping = "ping -q -c3 -i0.2 -W1 -Mdo -s8972"
    machines.shell(host, " && ".join(f"{ping} {address}" for address in addresses))


@pytest.mark.parametrize(("member", "other"), [("nic0", "nic1"), ("nic1", "nic0")])
def test_planes_outlive_each_member_of_their_bond(
    taken_over: Machines, member: str, other: str
) -> None:
    active = "cat /sys/class/net/bond0/bonding/active_slave"
    taken_over.shell("west", f"ip link set {member} down")
    try:
        wait(5, lambda: taken_over.shell("west", active) == f"{other}\n", f"{member} is in use")
        peers_answer(taken_over, "west")
    finally:
        taken_over.shell("west", f"ip link set {member} up")


def test_a_bond_of_another_mode_takes_the_place_of_the_old(taken_over: Machines) -> None:
    """No switch here speaks LACP: one NIC of each carries everything, and the run says so."""
    bond = {"members": ["nic0", "nic1"], "mode": "802.3ad", "mtu": 9000, "options": {"MinLinks": 1}}
    done = taken_over.play(LONG | {"cairn_bonds": {"bond0": bond}})
    assert done.returncode == 0, done.stdout
    assert "bond0 has no LACP partner" in done.stdout + done.stderr
    for host in HOSTS:
        assert taken_over.shell(host, "cat /sys/class/net/bond0/bonding/mode") == "802.3ad 4\n"
    have_their_planes(taken_over)
    peers_answer(taken_over, "north")
